"""Compose the Falcon application from its resources: the routes in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from consumer.core.metrics import Metrics
from consumer.http import errors
from consumer.http.errors import add_route
from consumer.http.health import Alive, Exposition, Probe, Ready
from consumer.http.webhook import ROUTES, Webhook


def build(
    *,
    webhook: Webhook,
    metrics: Metrics,
    probes: Mapping[str, Probe],
    keepers: tuple[str, ...],
    reject_status: int,
) -> falcon.App[Any, Any]:
    """A WSGI application; `probes` and `keepers` as `health.Ready` takes them."""
    app: falcon.App[Any, Any] = falcon.App()
    routes: tuple[tuple[str, object], ...] = (
        *((route, webhook) for route in ROUTES),
        ("/healthz", Alive()),
        ("/readyz", Ready(probes, keepers)),
        ("/metrics", Exposition(metrics)),
    )
    for path, resource in routes:
        add_route(app, path, resource)
    errors.install(app, reject_status=reject_status, metrics=metrics)
    return app
