"""Translate errors into HTTP: one table from error to status, every answer a small JSON."""

from __future__ import annotations

from typing import Any, NoReturn

import falcon
import msgspec
import structlog

from consumer.core.errors import (
    ConsumerError,
    MalformedJson,
    Rejected,
    SignatureError,
    SignatureInvalid,
)
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import UNKNOWN_PATHS
from consumer.core.ratelimit import FaultLog

log = structlog.get_logger(__name__)

# Seconds a sender should wait before it tries again; one, for some give up after few tries.
RETRY_AFTER = 1
_MOST_PATH = 200

# The line that the sender reads first; of the others the error's own text says it best.
_TITLES: dict[type[ConsumerError], str] = {
    MalformedJson: "Malformed JSON",
    SignatureInvalid: "Invalid webhook signature",
}
# The most special first.
_STATUS: tuple[tuple[type[ConsumerError], str], ...] = (
    (SignatureError, falcon.HTTP_401),
    (Rejected, falcon.HTTP_400),
    (ConsumerError, falcon.HTTP_503),
)


def install(app: falcon.App[Any, Any], *, reject_status: int, metrics: Metrics) -> None:
    """Have `app` answer our errors; requests to paths that nobody serves are counted in `metrics`.
    With `reject_status` 202 a rejected event is answered `dead_lettered`, for senders whose circuit
    breaker counts 4xx."""
    app.set_error_serializer(_as_json)
    faults = FaultLog(log)

    def unexpected(
        req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]
    ) -> None:
        # Answered as something that the sender can act on: try again.
        faults.add("fault in request", error, path=req.path[:_MOST_PATH])
        unavailable = falcon.HTTPServiceUnavailable(
            title="Service temporarily unavailable", retry_after=RETRY_AFTER
        )
        _answer(req, resp, unavailable)

    app.add_error_handler(Exception, unexpected)
    app.add_error_handler(ConsumerError, _known)

    def unknown_path(
        req: falcon.Request, resp: falcon.Response, error: falcon.HTTPRouteNotFound, _params: Any
    ) -> None:
        metrics.count(UNKNOWN_PATHS)
        _answer(req, resp, error)

    app.add_error_handler(falcon.HTTPRouteNotFound, unknown_path)
    if reject_status == 202:
        app.add_error_handler(Rejected, _dead_lettered)


def as_http(error: ConsumerError) -> falcon.HTTPError:
    """The HTTP form of an error: status, title, and a description where that says more."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    text = str(error)
    title = _TITLES.get(type(error), text)
    position = getattr(error, "position", None)
    detail = text if position is None else f"{text} (at byte {position})"
    description = None if detail == title else detail
    headers = {"Retry-After": str(RETRY_AFTER)} if status == falcon.HTTP_503 else {}
    if isinstance(error, SignatureError) and error.challenge is not None:
        headers["WWW-Authenticate"] = error.challenge
    return falcon.HTTPError(status, title=title, description=description, headers=headers)


def _known(
    req: falcon.Request, resp: falcon.Response, error: ConsumerError, _params: dict[str, Any]
) -> None:
    _answer(req, resp, as_http(error))


def _dead_lettered(
    _req: falcon.Request, resp: falcon.Response, _error: Rejected, _params: dict[str, Any]
) -> None:
    resp.status = falcon.HTTP_202
    resp.data = b'{"status":"dead_lettered"}'


def _answer(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Answer as Falcon does where an HTTPError is raised. But then its frames and the error hold
    each other, and with them the request, until the cycle collector comes by."""
    resp.status = error.status
    resp.set_headers(error.headers or {})
    _as_json(req, resp, error)


def _as_json(_req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    # Falcon would negotiate XML; the senders read JSON only.
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(error.to_dict())


class Resource:
    """A resource that refuses OPTIONS, which Falcon would answer 200: browsers of other sites ask
    with it whether they may call, and nobody else asks."""

    def on_options(self, _req: falcon.Request, _resp: falcon.Response) -> NoReturn:
        allowed = [name for name in ("GET", "HEAD", "POST") if hasattr(self, f"on_{name.lower()}")]
        raise falcon.HTTPMethodNotAllowed(allowed)
