"""Rules that every resource of ours follows: HEAD wherever GET, and other methods refused."""

from __future__ import annotations

from typing import Any, NoReturn

import falcon


def add_route(app: falcon.App[Any, Any], path: str, resource: Any) -> None:
    """Add a resource, which answers HEAD as GET; Falcon leaves the body out."""
    if hasattr(resource, "on_get"):
        resource.on_head = resource.on_get
    app.add_route(path, resource)


class Resource:
    """Falcon would answer OPTIONS with 200 for us. Browsers of other sites ask with it whether
    they may call, and nobody else asks."""

    def on_options(self, _req: falcon.Request, _resp: falcon.Response) -> NoReturn:
        allowed = [name for name in ("GET", "HEAD", "POST") if hasattr(self, f"on_{name.lower()}")]
        raise falcon.HTTPMethodNotAllowed(allowed)
