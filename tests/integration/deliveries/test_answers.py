"""Requests of other kinds, and that no answer tells too much."""

from __future__ import annotations

import http.client
from datetime import datetime, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.http import probe
from consumer.ingest.signature import SignatureScheme, sign
from tests.support.service import (
    PATH,
    SECRET,
    UNSIGNED,
    Client,
    dead_letters,
    eventually,
    running_service,
)

Db = Database[dict[str, Any]]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "BREW"])
def test_other_methods_get_4xx(client: Client, method: str) -> None:
    status = client.request(method, "/webhook/cxone-dataaction", b"", {}).status

    assert 400 <= status < 500


@pytest.mark.parametrize(
    "path", ["/", "/webhook", "/webhook/cxone-dataaction/x", "/%00", "/..%2f", "/%C3%A9?%ff=1"]
)
def test_unknown_paths_get_404_as_json_whatever_the_client_accepts(
    client: Client, path: str
) -> None:
    answer = client.request("POST", path, b"", {"Accept": "text/xml"})

    assert answer.status == 404
    assert answer.json["title"] == "404 Not Found"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_head_is_answered_as_get_without_its_body(client: Client, path: str) -> None:
    got, head = client.get(path), client.request("HEAD", path, b"", {})

    assert (head.status, head.body) == (got.status, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert int(head.headers["content-length"]) > 0


def test_a_head_request_leaves_its_connection_usable(client: Client) -> None:
    connection = http.client.HTTPConnection(*client.service.server.address, timeout=30)
    for method in ("HEAD", "GET", "HEAD", "GET"):
        connection.request(method, "/readyz")
        answer = connection.getresponse()
        assert answer.status == 200
        assert bool(answer.read()) is (method == "GET")
    connection.close()


def test_a_slash_behind_the_path_of_the_webhook_is_taken(client: Client, database: Db) -> None:
    body = b'{"id":"1","type":"t"}'
    signed = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))

    answer = client.request("POST", f"{PATH}/", body, signed)

    assert (answer.status, answer.json["status"]) == (200, "processed")
    assert database["events"].count_documents({}) == 1
    assert client.request("POST", f"{PATH}//", body, signed).status == 404


def test_requests_to_unknown_paths_are_counted(client: Client) -> None:
    for method, path in (("GET", "/x"), ("POST", "/webhook"), ("HEAD", "/wp-login.php")):
        assert client.request(method, path, b"", {}).status == 404

    assert b"\ncxone_dataaction_unknown_paths_total 3.0\n" in client.get("/metrics").body


def test_body_over_the_limit_is_413(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_max_body_bytes="2048") as client:
        too_large = client.post({"id": "1", "type": "t", "a": "x" * 2048})
        fits = client.post({"id": "1", "type": "t", "a": "x" * 1900})

    assert (too_large.status, fits.status) == (413, 200)


def test_health_readiness_and_metrics(client: Client) -> None:
    client.post({"id": "1", "type": "t"})

    assert client.get("/healthz").json == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status, ready.json["status"]) == (200, "ready")
    assert set(ready.json) >= {"status", "mongodb", "spool", "scheduler"}
    text = client.get("/metrics").body.decode()
    assert 'cxone_dataaction_deliveries_total{outcome="processed"} 1.0' in text
    assert SECRET not in text


def test_canary_is_answered_and_stored_nowhere(client: Client, database: Db) -> None:
    answer = client.post(probe.body("abc"))

    assert (answer.status, answer.json["status"]) == (200, "canary")
    assert database["events"].count_documents({}) == 0
    assert dead_letters(database) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"c1","type":"t","name":"cxone_consumer_canary"}',
        b'{"cxone_consumer_canary":"abc","id":"c2","type":"t"}',
        probe.body("abc").replace(b'"none":null', b'"id":"c3","type":"t"'),
    ],
)
def test_a_signed_event_with_the_words_of_a_canary_is_stored(
    client: Client, database: Db, body: bytes
) -> None:
    answer = client.post(body)

    assert (answer.status, answer.json["status"]) == (200, "processed")
    assert database["events"].count_documents({"type": "t"}) == 1


def test_a_signed_event_with_the_header_of_a_canary_is_stored(client: Client, database: Db) -> None:
    body = b'{"id":"c1","type":"t"}'
    signed = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    signature = signed["X-Nice-Webhook-Signature"]
    told = f"{'0' * 64}.{probe.digest_of(signature)}"

    answer = client.post(body, {**signed, probe.HEADER: told})

    assert (answer.status, answer.json["status"]) == (200, "processed")
    assert database["events"].count_documents({"type": "t"}) == 1


def test_an_unsigned_event_with_the_words_of_a_canary_is_kept_as_refused(
    client: Client, database: Db
) -> None:
    answer = client.post(b'{"id":"c1","type":"t","name":"cxone_consumer_canary"}', UNSIGNED)

    assert answer.status == 401
    eventually(lambda: [each["reason"] for each in dead_letters(database)] == ["signature_missing"])


def test_error_answers_hold_no_payload_value(client: Client) -> None:
    bodies = [
        b'{"id":"1","type":"t","PRIVATE":"PRIVATE"',
        b'{"id":"1","type":"t","PRIVATE\\u0000":"PRIVATE"}',
        b'{"id":"1","PRIVATE":"PRIVATE"}',
    ]

    assert not any(b"PRIVATE" in client.post(body).body for body in bodies)
