"""The newest events of a subject, as their senders sent them."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from consumer.events.recent import ORDER, RecentEvents
from consumer.mongodb.client import EVENTS
from consumer.mongodb.indexes import create_indexes
from consumer.schemas.policy import Defaults, Guards, SchemaPolicy, subject_policy
from tests.support.backfill import backfill, registry, store
from tests.support.jobs import Run

Db = Database[dict[str, Any]]


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
    head = schemas.refreshed("s")
    assert head is not None

    found = list(RecentEvents(database[EVENTS]).payloads(head, Defaults(), 100))

    assert all(each["_meta"]["backfilled_to"] == 4 for each in database["events"].find())
    assert sorted(found, key=lambda each: str(each["id"])) == sent


def test_typed_defaults_are_taken_out_too(database: Db) -> None:
    policy = SchemaPolicy(general=subject_policy(typed=True))
    schemas = registry(database, policy)
    store(database, schemas, "1", {"id": "1", "n": 1, "o": {"s": "x"}})
    store(database, schemas, "2", {"id": "2"})
    head = schemas.refreshed("s")
    assert head is not None

    found = list(RecentEvents(database[EVENTS]).payloads(head, policy.of("s").defaults, 100))

    assert database["events"].find_one({"id": "2"})["n"] == 0  # type: ignore[index]
    assert {"id": "2"} in found


@pytest.mark.parametrize(("size", "count"), [(1000, 30), (1_000_000, 4), (5_000_000, 1)])
def test_a_bounded_part_of_what_is_there_is_read(database: Db, size: int, count: int) -> None:
    schemas = registry(database)
    for number in range(30 if size < 5_000_000 else 3):
        store(database, schemas, str(number), {"id": str(number), "x": "y" * size})
    head = schemas.refreshed("s")
    assert head is not None

    found = list(RecentEvents(database[EVENTS]).payloads(head, Defaults(), 100))

    assert len(found) == count


def test_the_newest_events_are_read_in_the_order_of_an_index(database: Db) -> None:
    create_indexes(database)
    query = database["events"].find({"_meta.subject": "s"}).sort(ORDER).limit(100)

    plan = str(query.explain()["queryPlanner"]["winningPlan"])

    assert "IXSCAN" in plan
    assert "SORT'" not in plan


def test_where_something_was_untracked_only_what_ingest_filled_is_taken_out(database: Db) -> None:
    narrow = registry(database, SchemaPolicy(guards=Guards(paths_per_subject=2)))
    store(database, narrow, "1", {"id": "1", "a": 1})
    store(database, narrow, "2", {"id": "2", "late": "sent"})
    schemas = registry(database)
    store(database, schemas, "3", {"id": "3", "late": 1, "b": 1})
    backfill(database, schemas)(Run())
    head = schemas.refreshed("s")
    assert head is not None

    found = list(RecentEvents(database[EVENTS]).payloads(head, Defaults(), 100))

    # What the backfill filled nobody can tell from what was sent: it counts as sent.
    assert {"id": "2", "late": "sent", "b": None} in found
    assert {"id": "1", "a": 1} in found
