"""Answer whether the process lives, whether a delivery would be stored, and what was counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import falcon
from prometheus_client import CONTENT_TYPE_LATEST

from consumer.core.metrics import Metrics
from consumer.http.errors import Resource


@dataclass(frozen=True, slots=True)
class Condition:
    """State of one part. `detail` is for an operator: no secret, no payload value. `stores` says
    whether it would store a delivery, where `ok` does not."""

    ok: bool
    detail: str
    stores: bool | None = None

    @property
    def would_store(self) -> bool:
        return self.ok if self.stores is None else self.stores


HealthCheck = Callable[[], Condition]


def is_ready(checks: Mapping[str, HealthCheck], stores: tuple[str, ...]) -> bool:
    """True when a delivery would be stored durably: by one of `stores`, which are names of
    `checks`."""
    return any(checks[name]().would_store for name in stores)


class Alive(Resource):
    """`GET /healthz`: 200 while the process can answer."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = b'{"status":"ok"}'


class Ready(Resource):
    """`GET /readyz`: 200 when a delivery would be stored durably, 503 with the reason otherwise.

    All `checks` are shown; one of `stores` must be well.
    """

    def __init__(self, checks: Mapping[str, HealthCheck], stores: tuple[str, ...]) -> None:
        self._checks = checks
        self._stores = stores

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        conditions = {name: check() for name, check in self._checks.items()}
        ready = any(conditions[name].would_store for name in self._stores)
        body: dict[str, object] = {
            name: {"ok": condition.ok, "detail": condition.detail}
            for name, condition in conditions.items()
        }
        if ready:
            resp.media = {"status": "ready", **body}
            return
        resp.status = falcon.HTTP_503
        reason = "; ".join(f"{name}: {conditions[name].detail}" for name in self._stores)
        resp.media = {"status": "unavailable", "reason": reason, **body}


class Exposition(Resource):
    """`GET /metrics`: Prometheus text."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = self._metrics.render()
