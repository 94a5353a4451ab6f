"""The walk through events: each once, in order, by the index of time alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import EPOCH
from consumer.events.search import EventFilter, EventSearch
from consumer.events.walk import EventWalk
from consumer.mongodb.indexes import create_indexes

Db = Database[dict[str, Any]]
BEGIN = EPOCH + timedelta(days=20_000)
COUNT = 300


@pytest.fixture
def filled(database: Db) -> Db:
    create_indexes(database)
    mixed = random.Random(1)
    database["events"].insert_many(
        {
            "_id": f"{number:04}",
            "n": number,
            "schema_version": 1,
            # Many of one millisecond, more than a window has.
            "processed_at": BEGIN + timedelta(milliseconds=mixed.choice((0, 1, 2, 2, 2, 50, 900))),
            "_meta": {"subject": f"t{number % 3}", "key": f"k{number}", "backfilled_to": 1},
        }
        for number in range(COUNT)
    )
    return database


def ids(windows: Iterator[Any]) -> list[str]:
    return [event["_id"] for window in windows for event in window.events]


@pytest.mark.parametrize("window", [1, 7, 100, 1000])
def test_every_event_is_met_once_in_order(filled: Db, window: int) -> None:
    order = [("processed_at", 1), ("_id", 1)]
    expected = [each["_id"] for each in filled["events"].find().sort(order)]
    walk = EventWalk(filled["events"], window)

    assert ids(walk.forward({}, EPOCH, BEGIN + timedelta(days=1))) == expected
    assert ids(walk.backward({}, EPOCH, None)) == expected[::-1]


def test_bounds_of_time_hold_and_so_does_what_is_wanted(filled: Db) -> None:
    end = BEGIN + timedelta(milliseconds=2)
    walk, wanted = EventWalk(filled["events"], 10), {"_meta.subject": "t1"}
    inside = {"_meta.subject": "t1", "processed_at": {"$lt": end}}

    found = ids(walk.forward(wanted, BEGIN, end))

    assert len(found) == filled["events"].count_documents(inside)
    assert set(ids(walk.backward(wanted, BEGIN, end))) > set(found)


def test_no_search_reads_events_that_it_does_not_give(filled: Db) -> None:
    filled.command("profile", 2)
    walk, search = EventWalk(filled["events"], 50), EventSearch(filled["events"])
    ids(walk.forward({}, EPOCH, BEGIN + timedelta(days=1)))
    ids(walk.backward({"_meta.subject": "t1"}, EPOCH, None))
    search.page(EventFilter(subjects=("t1",), version=1), 5)
    search.page(EventFilter(), 5)
    assert [each["_id"] for each in search.beginning("k123", 5)] == ["0123"]
    assert [each["_id"] for each in search.beginning("0123", 5)] == ["0123"]
    assert len(search.beginning("k1", 5)) == 5
    filled.command("profile", 0)

    done = list(filled["system.profile"].find({"ns": f"{filled.name}.events", "op": "query"}))

    assert len(done) > 20
    assert all("COLLSCAN" not in each["planSummary"] for each in done)
    wasteful = [
        each
        for each in done
        if each["docsExamined"] > each["nreturned"] and each.get("cursorExhausted")
    ]
    assert [(each["command"], each["docsExamined"]) for each in wasteful] == []
