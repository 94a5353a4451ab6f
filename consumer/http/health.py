"""Say whether the process lives, whether a delivery would be kept, and what was counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import falcon
from prometheus_client import CONTENT_TYPE_LATEST

from consumer.core.metrics import Metrics
from consumer.http.errors import Resource


@dataclass(frozen=True, slots=True)
class Condition:
    """State of one part. `detail` is for an operator: no secret, no payload value. `keeps`: whether
    it would keep a delivery, where that is not the same."""

    ok: bool
    detail: str
    keeps: bool | None = None

    @property
    def would_keep(self) -> bool:
        return self.ok if self.keeps is None else self.keeps


Probe = Callable[[], Condition]


def kept(probes: Mapping[str, Probe], keepers: tuple[str, ...]) -> bool:
    """Whether a delivery would be kept durably: one of the `keepers` is well."""
    return any(probes[name]().would_keep for name in keepers)


class Alive(Resource):
    """`GET /healthz`: 200 while the process can answer."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = b'{"status":"ok"}'


class Ready(Resource):
    """`GET /readyz`: 200 when a delivery would be kept durably, 503 with the reason otherwise.

    `probes` are all shown; one of `keepers` must be well.
    """

    def __init__(self, probes: Mapping[str, Probe], keepers: tuple[str, ...]) -> None:
        self._probes = probes
        self._keepers = keepers

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        conditions = {name: probe() for name, probe in self._probes.items()}
        ready = any(conditions[name].would_keep for name in self._keepers)
        body: dict[str, object] = {
            name: {"ok": condition.ok, "detail": condition.detail}
            for name, condition in conditions.items()
        }
        if ready:
            resp.media = {"status": "ready", **body}
            return
        resp.status = falcon.HTTP_503
        reason = "; ".join(f"{name}: {conditions[name].detail}" for name in self._keepers)
        resp.media = {"status": "unavailable", "reason": reason, **body}


class Exposition(Resource):
    """`GET /metrics`: Prometheus text."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = self._metrics.render()
