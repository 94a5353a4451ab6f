"""Paths that can be reached from outside tell nothing of secrets and payloads."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from config import loading as configuration
from tests.support.service import UNSIGNED, Client, running_service

Db = Database[dict[str, Any]]
CANARIES = (b"CANARY-SECRET", b"CANARY-PASSWORD", b"CANARY-VALUE", b"CANARY-ID", b"CANARY-KEY")


def told(client: Client) -> bytes:
    """All that the service says of itself, heads included."""
    answers = [client.get(path) for path in ("/healthz", "/readyz", "/metrics", "/", "/x")]
    return b"\n".join(repr(dict(one.headers)).encode() + one.body for one in answers)


def post_all(client: Client) -> bytes:
    """Answers to good, wrong and unsigned deliveries full of canaries."""
    bodies = (
        b'{"id":"CANARY-ID","type":"t","CANARY-KEY":"CANARY-VALUE"}',
        b'{"id":"CANARY-ID","type":"t","CANARY-KEY":"CANARY-VALUE"',
        b'{"id":"CANARY-ID","type":"t","CANARY-KEY":1e400}',
        b'{"CANARY-KEY":"CANARY-VALUE"}',
    )
    return b"\n".join(
        client.post(body, headers).body for body in bodies for headers in (None, UNSIGNED)
    )


def test_service_listens_on_loopback_unless_told_otherwise() -> None:
    assert configuration.load({}, {}).cxone_listen == "127.0.0.1:8080"


def test_nothing_that_is_answered_holds_a_secret_or_a_payload_value(
    mongod_uri: str, database: Db
) -> None:
    given = {"cxone_shared_secret_previous": "CANARY-SECRET"}
    with running_service(mongod_uri, database.name, **given) as client:
        said = post_all(client) + told(client)

    assert b"cxone_dataaction_deliveries_total" in said
    assert [canary for canary in CANARIES if canary in said] == []


@pytest.mark.slow
def test_readiness_without_mongodb_tells_nothing_of_its_uri(database: Db) -> None:
    uri = "mongodb://somebody:CANARY-PASSWORD@127.0.0.1:9/?connectTimeoutMS=200"
    given = {"cxone_shared_secret_previous": "CANARY-SECRET", "cxone_spool_after": "0.2s"}
    with running_service(uri, database.name, **given) as client:
        said = post_all(client) + told(client)

    assert b"no primary answers" in said
    assert [canary for canary in (*CANARIES, b"somebody") if canary in said] == []
