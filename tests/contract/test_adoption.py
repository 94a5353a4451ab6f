"""Adoption against a real mongod: whatever happened, the figures are those of a full count."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from config import settings as configuration
from consumer.events import Delivery
from consumer.runtime import build_core
from consumer.storage import mongo
from consumer.storage.adoption_counts import Superseded
from consumer.storage.adoption_events import backlog_filter, pipeline
from consumer.storage.retention import retained_from
from consumer.timegrid import hour_of
from jobs.adoption_report import report
from jobs.adoption_rollup import Bounds, claim, ledger, rebuild, roll_up
from tests.adoption import (
    NOW,
    Db,
    Run,
    brute_force,
    document,
    documents,
    job,
    registered,
    spread,
    stored_counts,
    vars_of,
)

SUBJECTS = ["contact.created", "contact.ended", "a.b $c", "agent.state_changed"]
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def never() -> bool:
    return False


def quietly(_: datetime) -> None:
    pass


@pytest.mark.parametrize("seed", range(4))
def test_figures_equal_a_full_count_after_every_kind_of_event(database: Db, seed: int) -> None:
    chance = random.Random(seed)
    mongo.create_indexes(database)
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
    fresh = report(ledger(database), registry, bounds, day)

    job(database, NOW - 70 * MINUTE, registry)(Run())
    behind = report(ledger(database), registry, bounds, day)
    job(database, NOW, registry)(Run())
    current = report(ledger(database), registry, bounds, day)

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
    core = build_core(settings, mongod_uri, lambda: now)
    mongo.create_indexes(core.database)
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
        core.ingest.process(Delivery(f"d{number}", body, {}, now))
        if number % 30 == 0:
            job(core.database, now)(Run())
    # What a backfill does to half of the documents.
    for subject in SUBJECTS:
        head = core.registry.head(subject)
        assert head is not None
        database["events"].update_many(
            {"_meta.subject": subject, "_meta.key": {"$lt": 75}},
            {"$max": {"_meta.backfilled_to": head.number}},
        )

    result = job(core.database, now)(Run())

    expected = brute_force(database, now, core.registry)
    core.close()
    assert result["figures"] == [vars_of(each) for each in expected]
    assert sum(each.total for each in expected) == len(set(bodies))


def test_expired_hours_leave_the_figures_whole_and_once(database: Db) -> None:
    chance = random.Random(2)
    registry = registered(database, SUBJECTS)
    start = NOW - 60 * HOUR
    times = spread(chance, 800, start, NOW)
    database["events"].insert_many(documents(chance, times, SUBJECTS))
    job(database, NOW - 20 * HOUR, registry)(Run(1))

    for cut_off in (1, 2, 3, 9, None):
        result = job(database, NOW, registry, retention_days=1)(Run(2, cut_off))
        # MongoDB deletes what has expired some time later.
        database["events"].delete_many({"processed_at": {"$lt": NOW - timedelta(days=1)}})

    floor = retained_from(NOW, 1)
    expected = brute_force(database, NOW, registry, floor)
    assert result["figures"] == [vars_of(each) for each in expected]
    assert database["adoption_counts"].count_documents({"_id.hour": {"$lt": floor}}) == 0
    assert report(ledger(database), registry, Bounds(NOW, floor)).figures == expected


def test_a_report_leaves_out_what_expired_since_the_last_roll_up(database: Db) -> None:
    chance = random.Random(3)
    registry = registered(database, SUBJECTS)
    times = spread(chance, 300, NOW - 40 * HOUR, NOW)
    database["events"].insert_many(documents(chance, times, SUBJECTS))
    job(database, NOW - 2 * HOUR, registry, retention_days=1)(Run())

    floor = retained_from(NOW, 1)
    found = report(ledger(database), registry, Bounds(NOW, floor)).figures

    assert found == brute_force(database, NOW, registry, floor)


def test_counts_survive_an_absence_longer_than_the_retention(database: Db) -> None:
    chance = random.Random(4)
    registry = registered(database, SUBJECTS)
    database["events"].insert_many(
        documents(chance, spread(chance, 100, NOW - 20 * HOUR, NOW), SUBJECTS)
    )
    job(database, NOW, registry, retention_days=1)(Run())
    later = NOW + timedelta(days=9)
    database["events"].delete_many({})
    database["events"].insert_many(
        documents(chance, spread(chance, 100, later - 3 * HOUR, later), SUBJECTS)
    )

    result = job(database, later, registry, retention_days=1)(Run())

    expected = brute_force(database, later, registry, retained_from(later, 1))
    assert result["figures"] == [vars_of(each) for each in expected]


def test_a_stale_holder_of_the_lease_cannot_write_past_its_fence(database: Db) -> None:
    chance = random.Random(6)
    registry = registered(database, SUBJECTS)
    database["events"].insert_many(
        documents(chance, spread(chance, 200, NOW - 9 * HOUR, NOW), SUBJECTS)
    )
    book, bounds = ledger(database), Bounds(NOW, None)
    stale = claim(book, 1, NOW)
    # It read the first hours when they held less, then stood still.
    early = book.events.count(NOW - 9 * HOUR, NOW - 8 * HOUR, "slice")[:1]
    result = job(database, NOW, registry)(Run(2))
    counted = stored_counts(database)

    with pytest.raises(Superseded):
        book.counts.write(stale.generation, stale.fence, early)
    with pytest.raises(Superseded):
        roll_up(book, stale, bounds, never, quietly)
    with pytest.raises(Superseded):
        claim(book, 1, NOW)

    assert stored_counts(database) == counted
    assert job(database, NOW, registry)(Run(3))["figures"] == result["figures"]


def test_two_processes_that_sum_the_same_hours_add_them_once(database: Db) -> None:
    registry = registered(database, ["s"])
    at = NOW - 3 * HOUR
    database["events"].insert_many([document(at, "s", 3, 3, 3) for _ in range(5)])
    job(database, NOW, registry)(Run(1))
    book = ledger(database)
    state = book.state.current()
    assert state is not None
    hour = list(book.counts.hours(state.generation, state.since, None))

    book.totals.add(state.generation, hour)
    book.totals.add(state.generation, hour)

    (total,) = book.totals.all(state.generation).values()
    assert total.count == 5


def test_rebuild_finds_what_came_too_late_and_leaves_one_generation(database: Db) -> None:
    chance = random.Random(7)
    registry = registered(database, SUBJECTS)
    events = database["events"]
    events.insert_many(documents(chance, spread(chance, 300, NOW - 30 * HOUR, NOW), SUBJECTS))
    job(database, NOW, registry)(Run(5))
    events.insert_many(documents(chance, spread(chance, 50, NOW - 30 * HOUR, NOW), SUBJECTS))
    events.delete_many({"processed_at": {"$lt": NOW - 25 * HOUR}})
    book, bounds = ledger(database), Bounds(NOW, None)
    expected = brute_force(database, NOW, registry)
    assert report(book, registry, bounds).figures != expected
    # A rebuild that was cut off changes nothing, and the next one clears up after it.
    cut = Run(stops_at=5)
    assert rebuild(book, bounds, cut.stopping, quietly) is None
    assert report(book, registry, bounds).figures != expected

    state = rebuild(book, bounds, never, quietly)

    assert state is not None
    assert report(book, registry, bounds).figures == expected
    assert database["adoption_counts"].distinct("_id.g") == [state.generation]
    assert database["adoption_totals"].distinct("_id.g") == [state.generation]
    assert database["adoption_state"].count_documents({}) == 2
    assert job(database, NOW, registry)(Run(5))["figures"] == [vars_of(e) for e in expected]


def test_the_earlier_of_two_rebuilds_is_superseded(database: Db) -> None:
    database["events"].insert_many([document(NOW - n * HOUR, "s", 1, 1, 1) for n in range(9)])
    book, bounds = ledger(database), Bounds(NOW, None)
    seen: list[datetime] = []

    def interfere(at: datetime) -> None:
        if not seen:
            seen.append(at)
            rebuild(book, bounds, never, quietly)

    with pytest.raises(Superseded):
        rebuild(book, bounds, never, interfere)

    state = book.state.current()
    assert state is not None
    assert state.generation == 2


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
    mongo.create_indexes(database)
    chance = random.Random(8)
    times = spread(chance, 2000, NOW - 99 * HOUR, NOW)
    database["events"].insert_many(documents(chance, times, SUBJECTS))
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

    assert count["totalDocsExamined"] == 0
    wanted = database["events"].count_documents({"processed_at": live})
    assert wanted <= count["totalKeysExamined"] <= wanted + 1
    assert backlog["totalDocsExamined"] == 0
    below = {"_meta.subject": "contact.ended", "_meta.backfilled_to": {"$lt": 3}}
    assert backlog["totalKeysExamined"] <= database["events"].count_documents(below) + 5


def test_a_killed_sum_of_an_hour_that_then_expires_leaves_nothing_in_the_totals(
    database: Db,
) -> None:
    registry = registered(database, ["s"])
    old = NOW - 40 * HOUR
    database["events"].insert_many([document(old, "s", 3, 3, 3), document(NOW, "s", 3, 3, 3)])
    job(database, old + MINUTE, registry)(Run(1))
    book = ledger(database)
    state = claim(book, 2, NOW)
    groups = book.events.count(hour_of(old), hour_of(old) + HOUR, "slice")
    book.counts.write(state.generation, 2, groups)
    state = book.state.advance(state, counted=hour_of(old) + HOUR)
    # Killed after the hour was added and before that was marked; added again once it has expired.
    hour = list(book.counts.hours(state.generation, state.since, None))
    book.totals.add(state.generation, hour)

    result = job(database, NOW, registry, retention_days=1)(Run(3))
    book.totals.add(state.generation, hour)
    again = job(database, NOW, registry, retention_days=1)(Run(4))

    assert [each["total"] for each in result["figures"]] == [1]
    assert again["figures"] == result["figures"]


def test_an_hour_that_expires_before_it_was_whole_is_not_taken_from_the_totals(
    database: Db,
) -> None:
    registry = registered(database, ["s"])
    later = NOW + 60 * HOUR
    # Counted, but its hour is not over; nobody counts for more than a day after that.
    database["events"].insert_many([document(NOW - 20 * MINUTE, "s", 3, 3, 3) for _ in range(4)])
    job(database, NOW, registry, retention_days=1)(Run(1))
    database["events"].insert_many([document(later - HOUR, "s", 3, 3, 3) for _ in range(9)])

    result = job(database, later, registry, retention_days=1)(Run(2))

    assert [each["total"] for each in result["figures"]] == [9]
