"""The webhook under a WSGI server that does not bound bodies: its own bound holds."""

from __future__ import annotations

from typing import Any

import falcon
from falcon import testing

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Outcome
from consumer.core.metrics import Metrics
from consumer.http.app import build_app
from consumer.http.client_address import Clients
from consumer.http.health import Condition
from consumer.http.webhook import ROUTE, Webhook


class Accepting:
    """Takes everything and remembers the bodies."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def receive(self, delivery: Delivery) -> Outcome:
        self.bodies.append(delivery.body)
        return Outcome("processed", 1)

    def verify(self, delivery: Delivery) -> Delivery:
        return delivery


class Breaking(Accepting):
    def receive(self, delivery: Delivery) -> Outcome:
        raise KeyError("PAYLOAD-VALUE")


def client(receiver: Accepting, ready: bool = True) -> testing.TestClient:
    metrics = Metrics()
    webhook = Webhook(
        ingest=receiver,
        metrics=metrics,
        clock=utc_now,
        max_body_bytes=10,
        clients=Clients(()),
    )
    built: falcon.App[Any, Any] = build_app(
        webhooks={ROUTE: webhook},
        metrics=metrics,
        checks={"mongodb": lambda: Condition(ready, "a reason")},
        stores=("mongodb",),
        reject_status=400,
    )
    return testing.TestClient(built)


def test_body_is_bounded_by_its_announced_length() -> None:
    receiver = Accepting()

    fits = client(receiver).simulate_post(ROUTE, body=b"x" * 10)
    too_large = client(receiver).simulate_post(ROUTE, body=b"x" * 11)

    assert (fits.status_code, too_large.status_code) == (200, 413)
    assert receiver.bodies == [b"x" * 10]


def test_body_without_length_is_never_read_unbounded() -> None:
    receiver = Accepting()

    client(receiver).simulate_post(ROUTE, body=b"x" * 99, headers={"Content-Length": ""})

    assert receiver.bodies == [b""]


def test_fault_of_ours_is_503_with_retry_after_and_shows_nothing() -> None:
    answer = client(Breaking()).simulate_post(ROUTE, body=b"x")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "PAYLOAD-VALUE" not in answer.text
    assert "KeyError" not in answer.text


def test_readiness_tells_the_reason() -> None:
    ready = client(Accepting()).simulate_get("/readyz")
    unready = client(Accepting(), ready=False).simulate_get("/readyz")

    assert (ready.status_code, ready.json["status"]) == (200, "ready")
    assert (unready.status_code, unready.json["reason"]) == (503, "mongodb: a reason")
