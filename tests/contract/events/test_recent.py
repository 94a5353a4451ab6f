"""The newest events of all subjects, and what of a stored document was sent."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.events.recent import RecentEvents, as_sent, processed
from consumer.mongodb.client import EVENTS
from consumer.mongodb.indexes import create_indexes
from consumer.schemas.policy import Defaults, Guards, SchemaPolicy, subject_policy
from consumer.schemas.registry.registry import SchemaRegistry
from tests.support.backfill import backfill, registry, store
from tests.support.jobs import Run

Db = Database[dict[str, Any]]
AT = datetime(2026, 3, 10, tzinfo=timezone.utc)


def payloads(database: Db, schemas: SchemaRegistry, defaults: Defaults) -> list[dict[str, Any]]:
    head = schemas.refreshed("s")
    assert head is not None
    return [as_sent(each, head, defaults) for each in database[EVENTS].find()]


def test_payloads_come_back_as_sent_whatever_ingest_and_backfill_filled(database: Db) -> None:
    schemas = registry(database)
    sent: list[dict[str, Any]] = [
        {"id": "1", "a": {"x": 1}},
        {"id": "2", "a": {"y": 2}, "b": None},
        {"id": "3", "c": [{"k": 1}], "$odd": 1, "processed_at": "mine"},
        {"id": "4"},
        {"id": "5", "a": None, "d": {"e": {"f": 1}}},
    ]
    for payload in sent:
        store(database, schemas, payload["id"], payload)
    backfill(database, schemas)(Run())

    found = payloads(database, schemas, Defaults())

    assert all(each["_meta"]["backfilled_to"] == 4 for each in database["events"].find())
    assert sorted(found, key=lambda each: str(each["id"])) == sent


def test_typed_defaults_are_taken_out_too(database: Db) -> None:
    policy = SchemaPolicy(general=subject_policy(typed=True))
    schemas = registry(database, policy)
    store(database, schemas, "1", {"id": "1", "n": 1, "o": {"s": "x"}})
    store(database, schemas, "2", {"id": "2"})

    found = payloads(database, schemas, policy.of("s").defaults)

    assert database["events"].find_one({"id": "2"})["n"] == 0  # type: ignore[index]
    assert {"id": "2"} in found


def test_where_something_was_untracked_only_what_ingest_filled_is_taken_out(database: Db) -> None:
    narrow = registry(database, SchemaPolicy(guards=Guards(paths_per_subject=2)))
    store(database, narrow, "1", {"id": "1", "a": 1})
    store(database, narrow, "2", {"id": "2", "late": "sent"})
    schemas = registry(database)
    store(database, schemas, "3", {"id": "3", "late": 1, "b": 1})
    backfill(database, schemas)(Run())

    found = payloads(database, schemas, Defaults())

    # What the backfill filled nobody can tell from what was sent: it counts as sent.
    assert {"id": "2", "late": "sent", "b": None} in found
    assert {"id": "1", "a": 1} in found


@pytest.mark.parametrize(
    ("size", "most", "count"), [(1000, 10**6, 20), (100_000, 10**6, 9), (2_000_000, 10**6, 1)]
)
def test_a_bounded_part_of_what_is_there_is_read(
    database: Db, size: int, most: int, count: int
) -> None:
    database[EVENTS].insert_many(
        {"processed_at": AT + timedelta(seconds=at), "x": "y" * size}
        for at in range(30 if size < 10**6 else 3)
    )

    found = list(RecentEvents(database[EVENTS]).newest(AT, AT + timedelta(hours=1), 20, most))

    assert len(found) == count


def test_the_newest_of_a_span_come_first(database: Db) -> None:
    times = [AT + timedelta(minutes=at) for at in range(10)]
    database[EVENTS].insert_many({"processed_at": at} for at in times)

    found = RecentEvents(database[EVENTS]).newest(times[2], times[8], 4, 10**6)

    assert [each["processed_at"] for each in found] == times[7:3:-1]


def test_the_newest_events_are_read_in_the_order_of_an_index(database: Db) -> None:
    create_indexes(database)
    query = database["events"].find(processed(AT, AT + timedelta(days=1)))

    plan = str(query.sort("processed_at", -1).limit(9).explain()["queryPlanner"]["winningPlan"])

    assert "IXSCAN" in plan
    assert "SORT'" not in plan
