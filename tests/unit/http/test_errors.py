"""Errors as answers."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import falcon
import falcon.testing
import pytest

from consumer.core.errors import MalformedJson, SignatureInvalid, SignatureMissing, StoreUnavailable
from consumer.core.metrics import Metrics
from consumer.http import errors


class Held:
    """Something that a request in progress holds."""


class Failing:
    """Raises `error` while it holds something; `held` tells whether that is still there."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.held: weakref.ref[Held] | None = None

    def on_post(self, _req: falcon.Request, _resp: falcon.Response) -> None:
        something = Held()
        self.held = weakref.ref(something)
        raise type(self._error)(*self._error.args)


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SignatureMissing("no header"), "401 Unauthorized"),
        (MalformedJson("Malformed JSON", 3), "400 Bad Request"),
        (StoreUnavailable("MongoDB is away"), "503 Service Unavailable"),
        (LookupError("a fault of ours"), "503 Service Unavailable"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_a_failed_request_held_is_free_at_once(error: Exception, status: str) -> None:
    app: falcon.App[Any, Any] = falcon.App()
    errors.install(app, reject_status=400, metrics=Metrics())
    resource = Failing(error)
    app.add_route("/", resource)
    answer = falcon.testing.StartResponseMock()

    list(app(_post(), answer))

    assert answer.status == status
    assert resource.held is not None
    assert resource.held() is None


@pytest.mark.parametrize("challenge", [None, 'Bearer error="invalid_token"'])
def test_a_refusal_tells_the_challenge_that_its_proof_has(challenge: str | None) -> None:
    refused = errors.as_http(SignatureInvalid("Access token expired", challenge=challenge))

    assert refused.status == "401 Unauthorized"
    assert refused.headers == ({"WWW-Authenticate": challenge} if challenge else {})


def _post() -> dict[str, Any]:
    return falcon.testing.create_environ(method="POST", path="/")
