"""Adoption as counted equals a full count, whatever was rolled up before."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from config import loading as configuration
from consumer.adoption.events import backlog_filter, pipeline, unfilled_pipeline
from consumer.adoption.report import report
from consumer.adoption.rollup import Bounds, adoption_stores
from consumer.core.clock import HOUR, hour_of
from consumer.core.delivery import Delivery
from consumer.mongodb.indexes import create_indexes
from consumer.runtime.shared import build_shared
from tests.support.adoption import (
    NOW,
    SUBJECTS,
    Db,
    brute_force,
    document,
    documents,
    job,
    registered,
    spread,
    vars_of,
)
from tests.support.jobs import Run

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("seed", range(4))
def test_figures_equal_a_full_count_after_every_kind_of_event(database: Db, seed: int) -> None:
    chance = random.Random(seed)
    create_indexes(database)
    registry = registered(database, SUBJECTS)
    now = NOW
    events = database["events"]
    events.insert_many(documents(chance, spread(chance, 400, now - 30 * HOUR, now), SUBJECTS))

    for round_ in range(12):
        at = chance.random()
        now += at * at * 3 * HOUR
        # Up to the five minutes late, and from a clock that is as much ahead.
        times = spread(chance, 60, now - 4 * MINUTE, now + 4 * MINUTE)
        events.insert_many(documents(chance, times, SUBJECTS))
        if chance.random() < 0.3:
            # A backfill goes on.
            events.update_many(
                {"_meta.subject": chance.choice(SUBJECTS)}, {"$set": {"_meta.backfilled_to": 3}}
            )
        if chance.random() < 0.2:
            grown = {f"field_{n}": 1 for n in range(4 + round_)}
            registry.admit(chance.choice(SUBJECTS), grown)
        if chance.random() < 0.4:
            # Cut off in the middle; the next run is that of another process.
            job(database, now, registry)(Run(round_, stops_at=chance.randint(1, 6)))

        result = job(database, now)(Run(round_))

        expected = brute_force(database, now, registry)
        assert result["figures"] == [vars_of(each) for each in expected]


def test_a_report_reads_the_same_whether_or_not_anything_was_rolled_up(database: Db) -> None:
    chance = random.Random(1)
    registry = registered(database, SUBJECTS)
    times = spread(chance, 500, NOW - 50 * HOUR, NOW)
    database["events"].insert_many(documents(chance, times, SUBJECTS))
    bounds, day = Bounds(NOW, None), timedelta(days=1)
    fresh = report(adoption_stores(database), registry, bounds, day)

    job(database, NOW - 70 * MINUTE, registry)(Run())
    behind = report(adoption_stores(database), registry, bounds, day)
    job(database, NOW, registry)(Run())
    current = report(adoption_stores(database), registry, bounds, day)

    assert fresh == behind == current
    first = hour_of(NOW - day)
    assert sum(fresh.hours.values()) == sum(
        each["schema_version"] > 0 and each["processed_at"] >= first
        for each in database["events"].find()
    )


def test_ingested_events_duplicates_and_evolution_are_counted_as_stored(
    database: Db, mongod_uri: str
) -> None:
    chance = random.Random(5)
    now = NOW
    settings = configuration.load(
        {"CXONE_SHARED_SECRET": "s", "MONGODB_DATABASE": database.name}, {}
    )
    shared = build_shared(settings, mongod_uri, lambda: now)
    create_indexes(shared.database)
    bodies: list[bytes] = []
    for number in range(150):
        now += chance.random() * 3 * MINUTE
        if bodies and chance.random() < 0.2:
            body = chance.choice(bodies)
        else:
            fields = {f"f{n}": 1 for n in range(chance.randint(0, number // 20))}
            event = {"id": number, "type": chance.choice(SUBJECTS), **fields}
            body = json.dumps(event).encode()
        bodies.append(body)
        shared.ingest.process(Delivery(f"d{number}", body, {}, now))
        if number % 30 == 0:
            job(shared.database, now)(Run())
    # What a backfill does to half of the documents.
    for subject in SUBJECTS:
        head = shared.registry.head(subject)
        assert head is not None
        database["events"].update_many(
            {"_meta.subject": subject, "_meta.key": {"$lt": 75}},
            {"$max": {"_meta.backfilled_to": head.number}},
        )

    result = job(shared.database, now)(Run())

    expected = brute_force(database, now, shared.registry)
    shared.close()
    assert result["figures"] == [vars_of(each) for each in expected]
    assert sum(each.total for each in expected) == len(set(bodies))


def test_documents_that_lack_something_on_purpose_are_a_figure_of_their_own(
    database: Db,
) -> None:
    chance = random.Random(6)
    registry = registered(database, SUBJECTS)
    found = documents(chance, spread(chance, 300, NOW - 9 * HOUR, NOW), SUBJECTS)
    # Those of no registered subject lack nothing, for nothing is known of them.
    for each in chance.sample([each for each in found if each["schema_version"]], 100):
        each["_meta"]["unfilled"] = 1
    database["events"].insert_many(found)

    result = job(database, NOW, registry)(Run())

    expected = brute_force(database, NOW, registry)
    assert result["figures"] == [vars_of(each) for each in expected]
    assert all(0 < (each.unfilled or 0) < each.total for each in expected)
    assert any(0 < (each.conforming_rate or 0) < 100 for each in expected)


def test_subjects_beyond_the_busiest_are_one_series(database: Db) -> None:
    subjects = [f"s{n:02d}" for n in range(53)]
    registry = registered(database, subjects, versions=1)
    database["events"].insert_many(
        [
            document(NOW - MINUTE, subject, 1, 1, 1)
            for weight, subject in enumerate(subjects)
            for _ in range(weight + 1)
        ]
    )
    adoption = job(database, NOW, registry)

    adoption(Run())

    assert len(adoption.latest) == 51
    assert [adoption.latest[0].subject, adoption.latest[-1].subject] == ["s52", "other"]
    assert adoption.latest[-1].total == 1 + 2 + 3


def test_documents_that_are_not_ours_do_not_end_the_count(database: Db) -> None:
    registry = registered(database, ["s"], versions=1)
    database["events"].insert_many(
        [
            {"processed_at": NOW},
            {"processed_at": "yesterday", "_meta": 1},
            {"processed_at": [NOW, NOW - HOUR], "schema_version": [1], "_meta": [{"subject": []}]},
            {"processed_at": NOW - 9 * HOUR, "schema_version": "1", "_meta": {"subject": "s"}},
            {},
            document(NOW - 2 * HOUR, "s", 1, 1, 1),
        ]
    )

    result = job(database, NOW, registry)(Run())

    assert [(each["subject"], each["total"]) for each in result["figures"]] == [("s", 1)]


def test_counts_read_the_indexes_alone(database: Db) -> None:
    create_indexes(database)
    chance = random.Random(8)
    times = spread(chance, 2000, NOW - 99 * HOUR, NOW)
    found = documents(chance, times, SUBJECTS)
    for each in found[:50]:
        each["_meta"]["unfilled"] = 1
    database["events"].insert_many(found)
    live = {"$gte": NOW - 15 * MINUTE}

    def executed(stage: Any) -> Any:
        explained = database.command(
            "explain",
            {"aggregate": "events", "pipeline": stage, "cursor": {}},
            verbosity="executionStats",
        )
        stats = explained.get("executionStats")
        return stats or explained["stages"][0]["$cursor"]["executionStats"]

    count = executed(pipeline(NOW - 15 * MINUTE, None, "slice"))
    fillable = [{"$match": backlog_filter("contact.ended", 3, NOW - 9 * HOUR)}, {"$count": "n"}]
    backlog = executed(fillable)

    unfilled = executed(unfilled_pipeline("contact.ended", 3, NOW - 999 * HOUR))

    assert unfilled["totalDocsExamined"] == 0
    assert 0 < unfilled["totalKeysExamined"] <= 51
    assert count["totalDocsExamined"] == 0
    wanted = database["events"].count_documents({"processed_at": live})
    assert wanted <= count["totalKeysExamined"] <= wanted + 1
    assert backlog["totalDocsExamined"] == 0
    below = {"_meta.subject": "contact.ended", "_meta.backfilled_to": {"$lt": 3}}
    assert backlog["totalKeysExamined"] <= database["events"].count_documents(below) + 5
