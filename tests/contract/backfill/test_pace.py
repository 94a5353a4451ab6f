"""A backfill finds what is behind by an index, in batches of `_id`s, and rests between them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from consumer.mongodb.indexes import BY_STAMP, create_indexes
from jobs.backfill.job import BackfillRules
from jobs.backfill.pace import Pace, PaceRules
from jobs.backfill.store import BackfillStore
from tests.support.backfill import LONG_AGO, backfill, laid_out, registry, store
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]


def test_documents_of_one_moment_and_of_odd_dates_are_filled_too(database: Db) -> None:
    schemas = registry(database)
    template = laid_out(schemas, "first", {"a": 1})
    crowd = [{**template, "_id": f"crowd {n}"} for n in range(300)]
    spread = [
        {**template, "_id": f"spread {n}", "processed_at": LONG_AGO + timedelta(seconds=n // 3)}
        for n in range(300)
    ]
    # Whoever can write to MongoDB can put anything there.
    odd_dates: list[Any] = [None, "x", [LONG_AGO, LONG_AGO], 7]
    odd: list[Document] = [{**template, "processed_at": value} for value in odd_dates]
    odd += [{**template, "schema_version": value} for value in (None, "x", [1, 2], 1.5, 2**40)]
    odd += [{**template, "processed_at": datetime(1, 1, 1, tzinfo=timezone.utc)}]
    strangers = [{**document, "_id": f"odd {n}"} for n, document in enumerate(odd)]
    database["events"].insert_many([*crowd, *spread, *strangers])
    beyond = {**template, "_id": "beyond", "processed_at": DatetimeMS(2**60)}
    database["events"].insert_one(beyond)
    store(database, schemas, "new", {"b": 1})

    result = backfill(database, schemas, BackfillRules(0, PaceRules(batch=20, pause=0)))(Run())

    assert (result["documents"], result["failed"], result["remaining"]) == (611, 0, 0)
    assert database["events"].count_documents({"b": {"$exists": False}}) == 0


def test_pages_follow_each_other_without_gap_or_overlap(database: Db) -> None:
    schemas = registry(database)
    template = laid_out(schemas, "first", {"a": 1})
    database["events"].create_index(BY_STAMP)
    database["events"].insert_many(
        {
            **template,
            "_id": number,
            "schema_version": number % 2,
            "processed_at": LONG_AGO + timedelta(seconds=number // 5),
        }
        for number in range(101)
    )
    found = BackfillStore(database["events"])
    seen: list[int] = []

    while page := found.ids("s", 1, len(seen), 7):
        assert len(page) <= 7
        seen += page

    assert sorted(seen) == list(range(101))


def test_a_page_is_found_by_the_index_and_reads_no_more_documents_than_it_has(
    database: Db,
) -> None:
    create_indexes(database)
    schemas = registry(database)
    for number in range(20):
        store(database, schemas, str(number), {"a": number})
    database.command("profile", 2)

    BackfillStore(database["events"]).ids("s", 1, 0, 5)

    database.command("profile", 0)
    looks = list(database["system.profile"].find({"ns": f"{database.name}.events"}))
    assert [look["docsExamined"] for look in looks] == [5]
    assert "_meta.backfilled_to" in looks[0]["planSummary"]


def test_the_look_for_documents_behind_reads_the_index(database: Db) -> None:
    create_indexes(database)
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    query = {"_meta.subject": "s", "_meta.backfilled_to": {"$lt": 2}}

    plan = database["events"].find(query, {"_id": 1}).explain()["queryPlanner"]["winningPlan"]
    counted = database.command(
        "explain", {"count": "events", "query": query}, verbosity="queryPlanner"
    )

    assert "IXSCAN" in str(plan)
    assert "COUNT_SCAN" in str(counted) or "IXSCAN" in str(counted)


def test_batches_shrink_when_they_take_long_and_rest_as_long_as_they_took() -> None:
    slept: list[float] = []
    pace = Pace(PaceRules(batch=400, pause=0.1), slept.append)
    started = pace.size

    pace.rest(1.0, lambda: False)
    after_a_long_one = pace.size
    for _ in range(5):
        pace.rest(0.01, lambda: False)

    assert (started, after_a_long_one, pace.size) == (100, 50, 400)
    assert sum(slept[:4]) == pytest.approx(1.0)
    assert slept[4:] == [0.1] * 5


def test_without_throttle_batches_are_longer_and_no_one_rests() -> None:
    slept: list[float] = []
    pace = Pace(PaceRules(batch=400, throttle=False), slept.append)

    pace.rest(0.8, lambda: False)
    after_a_long_one = pace.size
    pace.rest(0.3, lambda: False)
    after_a_short_one = pace.size
    pace.rest(1.1, lambda: False)

    assert (after_a_long_one, after_a_short_one, pace.size) == (1000, 2000, 1000)
    assert not slept


def test_a_stop_does_not_wait_for_the_rest() -> None:
    slept: list[float] = []

    Pace(PaceRules(), slept.append).rest(10.0, lambda: len(slept) == 2)

    assert len(slept) == 2
