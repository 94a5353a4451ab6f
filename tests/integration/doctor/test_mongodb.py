"""doctor on a MongoDB that answers: what it is, what it holds, what its user may do."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import OperationFailure

from consumer.cli.doctor import examine
from consumer.doctor import constraints, mongodb, refusals, rights
from consumer.doctor.check import Check, Row, Target, run
from consumer.mongodb.client import connect
from tests.support.doctor import one, settings_of, target
from tests.support.service import SECRET, dead_letters, eventually, running_service


@pytest.fixture
def of_database(mongod_uri: str, database: Database[dict[str, Any]]) -> Iterator[Target]:
    with connect(mongod_uri, timeout=5) as client:
        settings = settings_of(mongodb_uri=mongod_uri, mongodb_database=database.name)
        yield target(settings, client=client, clock=lambda: datetime.now(timezone.utc))


def test_a_good_mongodb_passes_every_check_and_nothing_is_left(of_database: Target) -> None:
    checks = list(examine(of_database.settings, None))

    by_name = {check.name: check for check in checks}
    assert by_name["MongoDB"].status == "ok"
    # Past its end of life, like the one that the extra `embedded` brings along, or not.
    assert by_name["MongoDB version"].status in ("ok", "warn")
    assert by_name["MongoDB write"].status in ("ok", "warn")
    assert by_name["MongoDB constraints"].status == "ok"
    assert by_name["refused deliveries"].status == "ok"
    # A replica set of one member is all the tests have.
    assert "one machine holds the data" in by_name["MongoDB topology"].finding
    assert of_database.client is not None
    assert of_database.client[of_database.settings.mongodb_database].list_collection_names() == []


def test_a_clock_that_is_off_is_told(of_database: Target) -> None:
    late = replace(of_database, clock=lambda: datetime.now(timezone.utc) - timedelta(seconds=60))

    check = one(mongodb.clock(late))

    assert one(mongodb.clock(of_database)).status == "ok"
    assert check.status == "warn"
    assert "ahead of ours" in check.finding


def test_validators_and_unique_indexes_of_others_are_listed(
    of_database: Target, database: Database[dict[str, Any]]
) -> None:
    database.create_collection("events", validator={"id": {"$exists": True}})
    database["events"].create_index("id", unique=True)
    database["events"].create_index("type")
    database.create_collection("dead_letter_queue", capped=True, size=4096)

    checks = list(constraints.examine(of_database))

    told = [(check.status, check.finding) for check in checks]
    assert len(told) == 3
    assert any("events has the unique index id_1 on id" in finding for _, finding in told)
    assert any("events has a validator" in finding for _, finding in told)
    assert ("fail", "dead_letter_queue is capped: MongoDB drops its oldest documents") in told


def test_a_view_in_place_of_events_is_a_fault(
    of_database: Target, database: Database[dict[str, Any]]
) -> None:
    database.create_collection("events", viewOn="other", pipeline=[])

    assert (
        one(constraints.examine(of_database)).finding == "events is a view, not a plain collection"
    )


def test_refused_deliveries_are_summed_up_by_diagnosis(
    of_database: Target, database: Database[dict[str, Any]]
) -> None:
    now = datetime.now(timezone.utc)
    advice = "would verify with CXONE_SIGNATURE_ENCODING=hex"
    entry = {"reason": "signature_invalid", "status": "pending_inspection", "last_seen": now}
    database["dead_letter_queue"].insert_many(
        [
            {**entry, "diagnosis": advice, "seen": 30},
            {**entry, "diagnosis": advice, "seen": 7},
            {**entry, "seen": 2, "diagnosis": None, "examined": True},
            {**entry, "seen": 5},
            {**entry, "seen": 6, "diagnosis": None},
            {**entry, "diagnosis": "solved", "seen": 1, "status": "resolved"},
            {**entry, "diagnosis": "old", "seen": 1, "last_seen": now - timedelta(days=2)},
            {**entry, "diagnosis": "other", "seen": 1, "reason": "malformed_json"},
        ]
    )

    known, unseen, unknown = refusals.examine(of_database)

    assert known.status == "fail"
    assert known.finding.startswith("37 deliveries (last seen ")
    assert known.finding.endswith(f"refused: {advice}")
    assert (unknown.status, unknown.finding[:12]) == ("warn", "2 deliveries")
    assert "strangers" in unknown.advice
    assert (unseen.status, unseen.finding[:13]) == ("warn", "11 deliveries")
    assert "not looked into" in unseen.finding
    assert "strangers" not in unseen.finding + unseen.advice


def test_hex_signatures_lead_from_the_webhook_to_the_doctors_advice(
    of_database: Target, mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    body = b'{"id": "1", "type": "contact.created"}'
    signature = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    with running_service(mongod_uri, database.name) as service:
        for _ in range(3):
            assert service.post(body, {"X-Nice-Webhook-Signature": signature}).status == 401
        eventually(lambda: [letter["seen"] for letter in dead_letters(database)] == [3])

    check = one(refusals.examine(of_database))

    assert check.finding.startswith("3 deliveries (last seen ")
    assert check.finding.endswith("would verify with CXONE_SIGNATURE_ENCODING=hex")


def test_what_a_user_may_not_look_at_is_a_warning() -> None:
    def forbidden(_target: Target) -> Iterator[Check]:
        raise OperationFailure("not authorized on d", 13)

    (check,) = run((Row("x", forbidden),), target())

    assert check.status == "warn"


TOPOLOGIES: list[tuple[dict[str, Any], str]] = [
    ({"msg": "isdbgrid"}, "ok"),
    ({"setName": "rs0", "hosts": ["a", "b", "c"]}, "ok"),
    ({"setName": "rs0", "hosts": ["a"], "passives": ["b"]}, "ok"),
    ({"setName": "rs0", "hosts": ["a"], "arbiters": ["b"]}, "warn"),
    ({}, "warn"),
]


@pytest.mark.parametrize(("hello", "status"), TOPOLOGIES)
def test_a_single_machine_is_warned_of(hello: dict[str, Any], status: str) -> None:
    assert mongodb.judge_topology(hello).status == status


def test_missing_rights_are_listed_by_collection() -> None:
    read_only = {"resource": {"db": "d", "collection": ""}, "actions": ["find"]}
    every = {"resource": {"db": "", "collection": ""}, "actions": list(rights._NEEDED)}
    events = {"resource": {"db": "d", "collection": "events"}, "actions": list(rights._NEEDED)}
    elsewhere = {"resource": {"db": "other", "collection": ""}, "actions": list(rights._NEEDED)}
    cluster = {"resource": {"cluster": True}, "actions": list(rights._NEEDED)}
    root = {"resource": {"anyResource": True}, "actions": ["anyAction"]}

    assert rights.missing_rights([every], "d") == {}
    assert rights.missing_rights([root], "d") == {}
    assert rights.missing_rights(None, "d") is None
    lacking = rights.missing_rights([read_only, events, elsewhere, cluster], "d")
    assert lacking is not None
    assert "events" not in lacking
    assert lacking["dead_letter_queue"] == ["insert", "update", "remove", "createIndex"]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (None, "warn"),
        ({"key": {"_id": "hashed"}}, "ok"),
        ({"key": {"_id": 1}}, "ok"),
        ({"key": {"_id": 1, "type": 1}}, "warn"),
        ({"key": {"type": 1}}, "warn"),
    ],
)
def test_the_shard_key_is_judged(row: dict[str, Any] | None, status: str) -> None:
    check = constraints.judge_shard_key("d", row)

    assert check.status == status
    assert status == "ok" or 'sh.shardCollection("d.events"' in check.finding + check.advice
