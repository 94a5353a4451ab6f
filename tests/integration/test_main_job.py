"""A signed webhook becomes a document: the contract of DESIGN sections 3, 5 and 7, from outside."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from pymongo.database import Database

from consumer.clock import utc_now
from consumer.replay import Replay
from consumer.signature import SignatureScheme, sign
from consumer.web import canary
from tests.service import PATH, SECRET, UNSIGNED, Client, dead_letters, eventually, running_service

Db = Database[dict[str, Any]]


def _kept(database: Db, count: int) -> bool:
    return len(dead_letters(database)) == count


@pytest.fixture
def client(mongod_uri: str, database: Db) -> Iterator[Client]:
    with running_service(mongod_uri, database.name) as running:
        yield running


def test_signed_event_is_processed_and_stored_as_sent(client: Client, database: Db) -> None:
    body = (
        b'{"type":"contact.created","id":"c-1","n":1.0,"i":1,"at":"2026-05-01T10:00:00Z",'
        b'"agent":{"name":"\xc3\x84nne","skills":[{"level":3}]},"none":null}'
    )

    answer = client.post(body)

    assert (answer.status, answer.json) == (200, {"status": "processed", "schema_version": 1})
    assert answer.headers["content-type"] == "application/json"
    document = database["events"].find_one()
    assert document is not None
    payload = {k: v for k, v in document.items() if k in json.loads(body)}
    assert json.dumps(payload) == json.dumps(json.loads(body))
    assert document["schema_version"] == 1
    assert document["processed_at"] >= document["_meta"]["received_at"]
    assert document["_meta"]["digest"] == hashlib.sha256(body).hexdigest()
    assert (document["_meta"]["subject"], document["_meta"]["key"]) == ("contact.created", "c-1")


def test_new_field_makes_a_version_and_later_events_without_it_are_filled(
    client: Client, database: Db
) -> None:
    client.post({"id": "1", "type": "t", "a": 1})
    second = client.post({"id": "2", "type": "t", "a": 1, "b": {"c": True}})
    third = client.post({"id": "3", "type": "t", "a": 2})

    assert second.json["schema_version"] == third.json["schema_version"] == 2
    document = database["events"].find_one({"id": "3"})
    assert document is not None
    assert document["b"] is None
    assert document["_meta"]["filled"]
    assert document["_meta"]["exhibited_version"] == 1
    versions = list(database["schema_versions"].find().sort("_id.version"))
    assert [version["_id"] for version in versions] == [
        {"subject": "t", "version": 1},
        {"subject": "t", "version": 2},
    ]
    assert {change["caused_by"] for change in versions[1]["changes"]} == {"2"}


def test_second_delivery_of_an_event_is_stored_once(client: Client, database: Db) -> None:
    client.post({"id": "1", "type": "t"})

    again = client.post({"id": "1", "type": "t"})

    assert (again.status, again.json) == (200, {"status": "duplicate", "schema_version": 1})
    assert database["events"].count_documents({}) == 1


def test_same_id_with_other_content_is_another_document(client: Client, database: Db) -> None:
    client.post({"id": "1", "type": "t", "a": 1})

    other = client.post({"id": "1", "type": "t", "a": 2})

    assert other.json["status"] == "processed"
    assert database["events"].count_documents({"id": "1"}) == 2


def test_with_dedupe_by_id_other_content_is_held_and_kept(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_dedupe="id") as client:
        client.post({"id": "1", "type": "t", "a": 1})
        same = client.post({"id": "1", "type": "t", "a": 1})
        other = client.post({"id": "1", "type": "t", "a": 2})

    assert same.json["status"] == "duplicate"
    assert (other.status, other.json) == (202, {"status": "held"})
    assert database["events"].count_documents({}) == 1
    (entry,) = dead_letters(database)
    assert (entry["reason"], entry["status"]) == ("id_conflict", "held")
    assert (entry["event_id"], entry["event_type"]) == ("1", "t")


def test_twenty_copies_at_once_through_two_processes_worth_of_services_are_one_document(
    mongod_uri: str, database: Db
) -> None:
    bodies = [json.dumps({"id": str(n), "type": "t", "n": n}).encode() for n in range(25)]
    with (
        running_service(mongod_uri, database.name) as one,
        running_service(mongod_uri, database.name) as two,
        ThreadPoolExecutor(20) as pool,
    ):
        jobs = [(one if copy % 2 else two, body) for body in bodies for copy in range(20)]
        answers = list(pool.map(lambda job: job[0].post(job[1]), jobs))

    statuses = [answer.json["status"] for answer in answers]
    assert statuses.count("processed") == 25
    assert statuses.count("duplicate") == 25 * 19
    assert database["events"].count_documents({}) == 25


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (b'{"id":"1","type":"t",}', "Malformed JSON"),
        (b"", "Malformed JSON"),
        (b"\xff\xfe", "Malformed JSON"),
        (b'{"id":"1"}', "Missing required CXone fields: id, type"),
        (b"[1,2]", "Missing required CXone fields: id, type"),
        (b'{"id":"1","type":"t","a":1e400}', None),
        (b'{"id":"1","type":"t","a":"\\ud800"}', None),
        (b'{"id":"1","type":"t","a\\u0000":1}', None),
        (b'{"id":"1","type":"t","a":' + b"9" * 35 + b"}", None),
        (b'{"id":"1","type":"t","a":' + b"[" * 100 + b"]" * 100 + b"}", None),
    ],
)
def test_body_that_is_no_event_is_400_and_kept_unaltered(
    client: Client, database: Db, body: bytes, title: str | None
) -> None:
    answer = client.post(body)

    assert answer.status == 400
    if title:
        assert answer.json["title"].startswith(title)
    (entry,) = dead_letters(database)
    assert bytes(entry["original_payload"]) == body
    assert entry["status"] == "pending_inspection"
    assert entry["verdict"]["secret"] == "current"
    assert database["events"].count_documents({}) == 0
    assert database["schema_versions"].count_documents({}) == 0


def test_same_malformed_body_is_one_entry_that_counts(client: Client, database: Db) -> None:
    for _ in range(3):
        client.post(b"{")

    (entry,) = dead_letters(database)
    assert entry["seen"] == 3
    assert entry["last_seen"] >= entry["timestamp"]


def test_reject_status_202_answers_dead_lettered(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_reject_status="202") as client:
        answer = client.post(b"{")

    assert (answer.status, answer.json) == (202, {"status": "dead_lettered"})
    assert len(dead_letters(database)) == 1


@pytest.mark.parametrize(
    ("headers", "title", "reason"),
    [
        (UNSIGNED, "Missing X-Nice-Webhook-Signature header", "signature_missing"),
        ({"X-Nice-Webhook-Signature": "AAAA"}, "Invalid webhook signature", "signature_invalid"),
    ],
)
def test_wrong_signature_is_401_and_kept_off_the_request_path(
    client: Client, database: Db, headers: dict[str, str], title: str, reason: str
) -> None:
    answer = client.post({"id": "1", "type": "t"}, headers)

    assert (answer.status, answer.json["title"]) == (401, title)
    eventually(lambda: dead_letters(database))
    (entry,) = dead_letters(database)
    assert (entry["reason"], entry["verdict"]) == (reason, None)
    assert bytes(entry["original_payload"]) == b'{"id": "1", "type": "t"}'
    assert database["events"].count_documents({}) == 0


def test_detective_names_the_setting_that_would_verify(client: Client, database: Db) -> None:
    body = b'{"id":"1","type":"t"}'
    signature = hmac.new(SECRET.encode(), body, "sha256").hexdigest()

    client.post(body, {"X-Nice-Webhook-Signature": signature})

    eventually(lambda: dead_letters(database))
    (entry,) = dead_letters(database)
    assert "CXONE_SIGNATURE_ENCODING=hex" in entry["diagnosis"]


def test_kept_refusals_are_bounded_and_the_oldest_stay(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_refused_max_count="3") as client:
        for number in range(8):
            client.post({"id": str(number), "type": "t"}, UNSIGNED)
            eventually(partial(_kept, database, min(number + 1, 3)))

    assert [json.loads(bytes(e["original_payload"]))["id"] for e in dead_letters(database)] == [
        "0",
        "1",
        "2",
    ]


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


def test_body_over_the_limit_is_413(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_max_body_bytes="2048") as client:
        too_large = client.post({"id": "1", "type": "t", "a": "x" * 2048})
        fits = client.post({"id": "1", "type": "t", "a": "x" * 1900})

    assert (too_large.status, fits.status) == (413, 200)


def test_unique_index_of_the_users_holds_the_event_and_never_calls_it_duplicate(
    client: Client, database: Db
) -> None:
    database["events"].create_index("order", unique=True)
    client.post({"id": "1", "type": "t", "order": 7})

    answer = client.post({"id": "2", "type": "t", "order": 7})

    assert (answer.status, answer.json) == (202, {"status": "held"})
    (entry,) = dead_letters(database)
    assert (entry["reason"], entry["status"]) == ("constraint_violation", "held")
    assert "order" in entry["error_message"]


def test_validator_of_the_users_holds_the_event(client: Client, database: Db) -> None:
    database.create_collection("events", validator={"amount": {"$type": "int"}})

    answer = client.post({"id": "1", "type": "t", "amount": "many"})

    assert answer.json == {"status": "held"}
    (entry,) = dead_letters(database)
    assert entry["reason"] == "constraint_violation"


def test_keys_that_collide_with_ours_are_shadowed(client: Client, database: Db) -> None:
    sent = {"id": "1", "type": "t", "_id": 9, "$where": "w", "schema_version": 4, "_meta": 1}

    assert client.post(sent).status == 200

    document = database["events"].find_one()
    assert document is not None
    assert {item["name"]: item["value"] for item in document["_meta"]["shadowed"]} == {
        "_id": 9,
        "$where": "w",
        "schema_version": 4,
        "_meta": 1,
    }


def test_strange_keys_are_data(client: Client, database: Db) -> None:
    sent = {"id": "1", "type": "t", "x": {"a.b": 1, "$c": 2, "*": 3, "[]": 4, "0": 5, "": 6}}

    assert client.post(sent).status == 200
    assert client.post({"id": "2", "type": "t"}).status == 200

    document = database["events"].find_one({"id": "1"})
    assert document is not None
    assert document["x"] == sent["x"]


def test_big_integer_is_stored_exactly(client: Client, database: Db) -> None:
    assert client.post(b'{"id":98765432109876543210,"type":"t","n":-98765432109876543210}').status

    document = database["events"].find_one()
    assert document is not None
    assert document["n"] == Decimal128("-98765432109876543210")
    versions = list(database["schema_versions"].find())
    assert len(versions) == 1


def test_reference_like_object_is_kept_as_sent(client: Client, database: Db) -> None:
    body = {"id": "1", "type": "t", "x": {"$ref": "c", "$id": "1"}}

    assert client.post(body).status == 200

    assert database["events"].count_documents({"$expr": {"$eq": [{"$type": "$x"}, "object"]}}) == 1


def test_scope_collection_evolves_all_types_together(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_schema_scope="collection") as client:
        client.post({"id": "1", "type": "a", "x": 1})
        answer = client.post({"id": "2", "type": "b", "y": 1})

    assert answer.json["schema_version"] == 2
    assert database["schema_versions"].distinct("_id.subject") == ["events"]


def test_held_change_registers_nothing_and_is_recorded(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_on_new_field="hold") as client:
        client.post({"id": "1", "type": "t"})
        answer = client.post({"id": "2", "type": "t", "extra": 1})

    assert (answer.status, answer.json) == (202, {"status": "held"})
    (entry,) = dead_letters(database)
    assert (entry["reason"], entry["status"]) == ("contract_hold", "held")
    assert [change["path"] for change in entry["changes"]] == [["extra"]]
    assert database["schema_versions"].count_documents({}) == 1


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
    answer = client.post(canary.body("abc"))

    assert (answer.status, answer.json["status"]) == (200, "canary")
    assert database["events"].count_documents({}) == 0
    assert dead_letters(database) == []


def test_chunked_body_verifies_like_any_other(client: Client, database: Db) -> None:
    body = b'{"id":"1","type":"t","text":"in three parts"}'
    signed = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    connection = http.client.HTTPConnection(*client.service.server.address, timeout=10)
    parts = iter([body[:10], body[10:11], body[11:]])

    connection.request("POST", PATH, parts, signed, encode_chunked=True)

    assert connection.getresponse().status == 200
    connection.close()
    assert database["events"].count_documents({"text": "in three parts"}) == 1


@pytest.mark.parametrize(
    "lines",
    [
        b"X-Nice-Webhook-Signature: %s\r\nX-Nice-Webhook-Signature: %s\r\n",
        b"X-Nice-Webhook-Signature: %s\xff%s\r\n",
        b"X-Nice-Webhook-Signature: \xc3\xa4%.0s%.0s\r\n",
        b"X-Nice-Webhook-Signature: =?utf-8?b?%s?=%.0s\r\n",
        b"X_Nice_Webhook_Signature: %s%.0s\r\n",
        b"X-Nice-Webhook-Signature:%.0s%.0s\r\n",
        b"X-Nice-Webhook-Signature: %.10s%.0s\r\n",
    ],
    ids=["doubled", "byte 255", "umlaut", "mime", "underscores", "empty", "short"],
)
def test_odd_signature_headers_are_401(client: Client, database: Db, lines: bytes) -> None:
    body = b'{"id":"1","type":"t"}'
    good = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    value = good["X-Nice-Webhook-Signature"].encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n".encode()

    with socket.create_connection(client.service.server.address, timeout=10) as connection:
        connection.sendall(head + lines % (value, value) + b"\r\n" + body)
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 401 "), answer
    assert database["events"].count_documents({}) == 0


def test_previous_secret_is_accepted_and_counted(mongod_uri: str, database: Db) -> None:
    rotated = {"cxone_shared_secret": "the new one", "cxone_shared_secret_previous": SECRET}
    with running_service(mongod_uri, database.name, **rotated) as client:
        answer = client.post({"id": "1", "type": "t"})
        counted = client.get("/metrics").body.decode()

    assert answer.status == 200
    assert 'cxone_dataaction_signature_matched_total{secret="previous"} 1.0' in counted


def test_signed_timestamp_variant_is_accepted_by_setting(mongod_uri: str, database: Db) -> None:
    variant = {
        "cxone_signature_encoding": "hex",
        "cxone_signature_prefix": "v1=",
        "cxone_signed_content": "timestamp.body",
        "cxone_timestamp_header": "X-Time",
    }
    with running_service(mongod_uri, database.name, **variant) as client:
        answer = client.post({"id": "1", "type": "t"})
        missing = client.post({"id": "2", "type": "t"}, {"X-Nice-Webhook-Signature": "v1=00"})

    assert answer.status == 200
    assert (missing.status, missing.json["title"]) == (401, "Missing X-Time header")


def test_refused_delivery_is_recovered_by_replay_once_the_secret_is_right(
    mongod_uri: str, database: Db
) -> None:
    with running_service(mongod_uri, database.name, cxone_shared_secret="wrong") as client:
        assert client.post({"id": "1", "type": "t"}).status == 401
        eventually(lambda: dead_letters(database))

    with running_service(mongod_uri, database.name) as client:
        core = client.service.core
        replay = Replay(core.ingest, core.dead_letters, utc_now)
        (entry,) = dead_letters(database)
        replayed = replay.entry(entry, "a test")
        again = client.post({"id": "1", "type": "t"})

    assert (replayed.resolved, replayed.result) == (True, "processed")
    assert again.json["status"] == "duplicate"
    (entry,) = dead_letters(database)
    document = database["events"].find_one()
    assert document is not None
    assert (entry["status"], entry["resolved_by"]) == ("resolved", document["_id"])
    assert [attempt["result"] for attempt in entry["history"]] == ["processed"]


def test_replay_verifies_refused_deliveries_again_and_accepts_none_unsigned(
    client: Client, database: Db
) -> None:
    client.post({"id": "1", "type": "t"}, UNSIGNED)
    eventually(lambda: dead_letters(database))
    core = client.service.core
    (entry,) = dead_letters(database)

    replayed = Replay(core.ingest, core.dead_letters, utc_now).entry(entry, "a test")

    assert (replayed.resolved, replayed.result) == (False, "signature_missing")
    assert database["events"].count_documents({}) == 0


def test_replay_of_a_delivery_that_still_fails_records_the_attempt(
    client: Client, database: Db
) -> None:
    client.post(b"{")
    core = client.service.core
    (entry,) = dead_letters(database)

    replayed = Replay(core.ingest, core.dead_letters, utc_now).entry(entry, "a test")

    assert (replayed.resolved, replayed.result) == (False, "malformed_json")
    (entry,) = dead_letters(database)
    assert (entry["status"], entry["retry_count"], entry["seen"]) == ("pending_inspection", 1, 1)
    assert entry["history"][0]["by"] == "a test"


def test_error_answers_hold_no_payload_value(client: Client) -> None:
    bodies = [
        b'{"id":"1","type":"t","PRIVATE":"PRIVATE"',
        b'{"id":"1","type":"t","PRIVATE\\u0000":"PRIVATE"}',
        b'{"id":"1","PRIVATE":"PRIVATE"}',
    ]

    assert not any(b"PRIVATE" in client.post(body).body for body in bodies)
