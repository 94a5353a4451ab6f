"""Deliveries of known senders with a wrong signature are kept beside any number of forged ones."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.dead_letters.refusal_notes import RefusalNotes
from consumer.doctor.refusals import judge_dropped
from consumer.ingest.signature import SignatureScheme, sign
from tests.support.service import SECRET, Client, dead_letters, eventually, running_service

Db = Database[dict[str, Any]]

SWEPT = {"job": "sweep_dead_letters", "outcome": "succeeded"}
KNOWN = "203.0.113.5"


def sent_from(address: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as a proxy on this machine passes them on."""
    return {**headers, "X-Forwarded-For": address}


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return dict(sign(SignatureScheme(), secret.encode(), body, utc_now()))


def forged(number: int) -> dict[str, str]:
    return {"X-Nice-Webhook-Signature": f"{number:044}"}


def settle(client: Client) -> None:
    assert client.service.shared.refusals.wait_until_empty(60)


def flood(mongod_uri: str, database: Db, room: int, known: int, others: int, peers: int) -> None:
    """A known sender and so many strangers beside it, each half of the known one's at a time."""
    with (
        running_service(
            mongod_uri, database.name, cxone_refused_max_count=str(room), cxone_sweep_interval="1h"
        ) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        # What the sweep tries just now stays, whoever came.
        eventually(lambda: database["job_runs"].count_documents(SWEPT), 60)
        first = b'{"id":"0","type":"t"}'
        assert client.post(first, sent_from(KNOWN, signed(first))).status == 200

        def strange(number: int) -> int:
            headers = sent_from(f"198.51.100.{number % peers}", forged(number))
            return client.post(b'{"forged":%d}' % number, headers).status

        def ours(number: int) -> int:
            body = b'{"id":"lost %d","type":"t"}' % number
            return client.post(body, sent_from(KNOWN, signed(body, "another secret"))).status

        statuses: list[int] = []
        for turn in (0, 1):
            strangers = range(turn * others // 2, (turn + 1) * others // 2)
            statuses += pool.map(strange, strangers)
            statuses += pool.map(ours, range(turn * known // 2, (turn + 1) * known // 2))
        settle(client)
        client.service._periodic.refusals()

    assert set(statuses) == {401}
    kept = [bytes(entry["original_payload"]) for entry in dead_letters(database)]
    assert sum(b"lost" in body for body in kept) == known
    assert len(kept) <= room
    dropped = RefusalNotes(database["refusals"]).dropped(utc_now() - timedelta(hours=1))
    assert dropped.total() == known + others - len(kept)
    (check,) = judge_dropped(dropped)
    assert f"{dropped['queue']:,} that came faster" in check.finding


def test_what_a_known_sender_lost_is_kept_beside_forged_deliveries(
    mongod_uri: str, database: Db
) -> None:
    flood(mongod_uri, database, room=60, known=20, others=500, peers=20)


@pytest.mark.faults_full
def test_what_a_known_sender_lost_is_kept_beside_twenty_thousand_forged_deliveries(
    mongod_uri: str, database: Db
) -> None:
    flood(mongod_uri, database, room=1000, known=50, others=20_000, peers=200)


def test_discarding_frees_room(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_refused_max_count="3") as client:
        for number in range(3):
            client.post({"id": str(number)}, forged(number))
        settle(client)
        old = {entry["_id"] for entry in dead_letters(database)}
        discard = client.service.shared.dead_letters.claims.discard
        for _id in old:
            # Not while the sweep tries it.
            eventually(partial(discard, _id, "a test", "strangers", utc_now()), 60)
        keeper: Any = client.service.shared.refusals._store
        keeper.__self__._recounted_at = keeper.__self__._recount_at = 0.0
        for number in range(3, 6):
            client.post({"id": str(number)}, forged(number))
        settle(client)

    entries = dead_letters(database)
    assert {entry["_id"] for entry in entries if entry["status"] == "discarded"} == old
    assert len(entries) == 6


@pytest.mark.parametrize(("sender", "place"), [(KNOWN, 23), ("198.51.100.1", 12)])
def test_each_kept_signature_is_tried_once_the_secret_is_right(
    mongod_uri: str, database: Db, sender: str, place: int
) -> None:
    body, before = b'{"id":"1","type":"t"}', b'{"id":"0","type":"t"}'
    with running_service(mongod_uri, database.name, cxone_shared_secret="wrong") as client:
        client.post(before, sent_from(KNOWN, signed(before, "wrong")))
        for number in range(25):
            proven = number == place
            headers = signed(body) if proven else forged(number)
            client.post(body, sent_from(sender if proven else "192.0.2.1", headers))
            client.post(body, sent_from("192.0.2.1", forged(0)))
        settle(client)
    (entry,) = dead_letters(database)
    assert (entry["seen"], len(entry["signatures"])) == (50, 20)
    assert entry["peer"] == (sender if sender == KNOWN else "192.0.2.1")

    with running_service(mongod_uri, database.name) as client:
        replayed = client.service.shared.replay.entry(entry, "a test")

    assert (replayed.resolved, replayed.result) == (True, "processed")
    assert database["events"].count_documents({"_meta.key": "1"}) == 1


def test_an_entry_keeps_no_endless_headers_as_signatures(client: Client, database: Db) -> None:
    long = {f"X-Signature-{number}": "x" * 1000 for number in range(20)}

    client.post({"id": "1"}, {**forged(1), **long})
    client.post({"id": "1"}, forged(2))
    settle(client)

    (entry,) = dead_letters(database)
    assert [each["headers"] for each in entry["signatures"]] == [
        {"x-nice-webhook-signature": f"{2:044}"}
    ]


def test_copies_of_what_is_kept_or_has_ended_take_no_room(mongod_uri: str, database: Db) -> None:
    first = b'{"id":"0","type":"t"}'
    with running_service(mongod_uri, database.name, cxone_refused_max_count="4") as client:
        assert client.post(first, sent_from(KNOWN, signed(first))).status == 200
        for number in range(4):
            client.post({"id": str(number)}, sent_from(KNOWN, forged(number)))
        settle(client)
        gone = dead_letters(database)[0]
        claims = client.service.shared.dead_letters.claims
        claims.discard(gone["_id"], "a test", "a flood", utc_now(), and_copies=True)
        for number in (0, 1, 2, 3) * 3:
            client.post({"id": str(number)}, sent_from(KNOWN, forged(number)))
        settle(client)

    assert [entry["seen"] for entry in dead_letters(database)] == [4] * 4
