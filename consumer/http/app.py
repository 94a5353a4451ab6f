"""Build the Falcon application: its routes in one table, and the error handlers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from config.sources import TOKEN_PATH
from consumer.core.metrics import Metrics
from consumer.http import errors
from consumer.http.health import Alive, Exposition, HealthCheck, Ready
from consumer.http.token import TokenEndpoint
from consumer.http.webhook import Webhook, routes_of


def build_app(
    *,
    webhooks: Mapping[str, Webhook],
    metrics: Metrics,
    checks: Mapping[str, HealthCheck],
    stores: tuple[str, ...],
    reject_status: int,
    token: TokenEndpoint | None = None,
) -> falcon.App[Any, Any]:
    """A WSGI application; `webhooks` by their paths, `checks` and `stores` as `health.Ready` takes
    them."""
    app: falcon.App[Any, Any] = falcon.App()
    routes: tuple[tuple[str, object], ...] = (
        *((route, each) for path, each in webhooks.items() for route in routes_of(path)),
        ("/healthz", Alive()),
        ("/readyz", Ready(checks, stores)),
        ("/metrics", Exposition(metrics)),
        *([(TOKEN_PATH, token)] if token is not None else []),
    )
    for path, resource in routes:
        add_route(app, path, resource)
    errors.install(app, reject_status=reject_status, metrics=metrics)
    return app


def add_route(app: falcon.App[Any, Any], path: str, resource: Any) -> None:
    """Add a resource, which answers HEAD as GET; Falcon leaves the body out."""
    if hasattr(resource, "on_get"):
        resource.on_head = resource.on_get
    app.add_route(path, resource)
