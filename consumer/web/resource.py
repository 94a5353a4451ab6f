"""What every resource of ours has in common: methods that it does not have are refused."""

from __future__ import annotations

from typing import NoReturn

import falcon


class Resource:
    """Falcon would answer OPTIONS with 200 for us. Browsers of other sites ask with it whether
    they may call, and nobody else asks."""

    def on_options(self, _req: falcon.Request, _resp: falcon.Response) -> NoReturn:
        allowed = [name for name in ("GET", "POST") if hasattr(self, f"on_{name.lower()}")]
        raise falcon.HTTPMethodNotAllowed(allowed)
