"""Whose signature is accepted, what becomes of the rest, and how it is let in later."""

from __future__ import annotations

import base64
import hmac
import socket
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.dead_letters.replay import Replay
from consumer.ingest.signature import SignatureScheme, sign
from tests.support.jobs import granted, leases
from tests.support.service import (
    PATH,
    SECRET,
    STANDARD_WEBHOOKS,
    UNSIGNED,
    Client,
    dead_letters,
    eventually,
    running_service,
)

Db = Database[dict[str, Any]]
SWEPT = {"job": "sweep_dead_letters", "outcome": "succeeded"}


def hold_sweep(database: Db) -> None:
    """Keep the sweep of a service from trying what the test tries."""
    granted(leases(database, "a test", 3600), "sweep_dead_letters")


@pytest.fixture
def unswept(mongod_uri: str, database: Db) -> Iterator[Client]:
    hold_sweep(database)
    with running_service(mongod_uri, database.name) as running:
        yield running


def are_kept(database: Db, count: int) -> bool:
    return len(dead_letters(database)) == count


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


def test_kept_refusals_are_bounded(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_refused_max_count="3") as client:
        # What the sweep tries just now stays, whoever came.
        eventually(lambda: database["job_runs"].count_documents(SWEPT), 60)
        for number in range(8):
            client.post({"id": str(number), "type": "t"}, UNSIGNED)
            assert client.service.shared.refusals.wait_until_empty(30)
            assert are_kept(database, min(number + 1, 3))


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


def test_standard_webhooks_are_accepted_by_setting(mongod_uri: str, database: Db) -> None:
    body = b'{"id":"1","type":"t"}'

    def headers(number: str, *keys: str) -> dict[str, str]:
        stamp = str(int(time.time()))
        signed = f"{number}.{stamp}.".encode() + body
        macs = [hmac.new(key.encode(), signed, "sha256").digest() for key in keys]
        listed = " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)
        return {"Webhook-Id": number, "Webhook-Timestamp": stamp, "Webhook-Signature": listed}

    with running_service(mongod_uri, database.name, **STANDARD_WEBHOOKS) as client:
        first = client.post(body, headers("msg_1", SECRET))
        second = client.post(body, headers("msg_2", "the next secret", SECRET))
        dotted = client.post(body, headers("msg.3", SECRET))
        wrong = client.post(body, headers("msg_4", "another", "and one more"))
        other = client.post(body, {**headers("msg_5", SECRET), "Webhook-Id": "msg_6"})
        eventually(lambda: dead_letters(database))

    assert [first.json["status"], second.json["status"]] == ["processed", "duplicate"]
    assert [each.status for each in (dotted, wrong, other)] == [401, 401, 401]
    # The id is kept, for the signature is verified again when the secret changes.
    assert all("webhook-id" in entry["headers"] for entry in dead_letters(database))


def test_refused_delivery_is_recovered_by_replay_once_the_secret_is_right(
    mongod_uri: str, database: Db
) -> None:
    hold_sweep(database)
    with running_service(mongod_uri, database.name, cxone_shared_secret="wrong") as client:
        assert client.post({"id": "1", "type": "t"}).status == 401
        eventually(lambda: dead_letters(database))

    with running_service(mongod_uri, database.name) as client:
        shared = client.service.shared
        replay = Replay(shared.ingest, shared.dead_letters, utc_now)
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
    unswept: Client, database: Db
) -> None:
    unswept.post({"id": "1", "type": "t"}, UNSIGNED)
    eventually(lambda: dead_letters(database))
    shared = unswept.service.shared
    (entry,) = dead_letters(database)

    replayed = Replay(shared.ingest, shared.dead_letters, utc_now).entry(entry, "a test")

    assert (replayed.resolved, replayed.result) == (False, "signature_missing")
    assert database["events"].count_documents({}) == 0


def test_replay_of_a_delivery_that_still_fails_records_the_attempt(
    unswept: Client, database: Db
) -> None:
    unswept.post(b"{")
    shared = unswept.service.shared
    (entry,) = dead_letters(database)

    replayed = Replay(shared.ingest, shared.dead_letters, utc_now).entry(entry, "a test")

    assert (replayed.resolved, replayed.result) == (False, "malformed_json")
    (entry,) = dead_letters(database)
    assert (entry["status"], entry["retry_count"], entry["seen"]) == ("pending_inspection", 1, 1)
    assert entry["history"][0]["by"] == "a test"


def test_a_later_finding_about_a_signature_replaces_an_earlier_one(
    client: Client, database: Db
) -> None:
    body = b'{"id":"1","type":"t"}'
    as_hex = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    as_base64 = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    right = as_base64["X-Nice-Webhook-Signature"]
    sent = (
        (as_hex, "would verify with CXONE_SIGNATURE_ENCODING=hex"),
        (f"v1={right}", "would verify with CXONE_SIGNATURE_PREFIX=v1="),
        ("bm9uc2Vuc2U=", None),
        (as_hex, "would verify with CXONE_SIGNATURE_ENCODING=hex"),
    )
    for signature, finding in sent:

        def is_found(signature: str = signature, finding: str | None = finding) -> bool:
            # A sample is looked into: so it comes until it is.
            client.post(body, {"X-Nice-Webhook-Signature": signature})
            entries = dead_letters(database)
            return bool(entries) and [each["diagnosis"] for each in entries] == [finding]

        eventually(is_found, 30)

    assert [each["examined"] for each in dead_letters(database)] == [True]
