"""Hours that expire leave the figures whole and once."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from consumer.adoption.counts import AdoptionCounts
from consumer.adoption.report import report
from consumer.adoption.rollup import Bounds, adoption_stores, claim
from consumer.adoption.state import AdoptionState
from consumer.core.clock import HOUR, hour_of
from consumer.mongodb.retention import retained_from
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
    assert report(adoption_stores(database), registry, Bounds(NOW, floor)).figures == expected


def test_a_kill_amid_expiry_leaves_no_expired_count_behind(
    database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(5)
    registry = registered(database, SUBJECTS)
    times = spread(chance, 200, NOW - 60 * HOUR, NOW)
    database["events"].insert_many(documents(chance, times, SUBJECTS))
    job(database, NOW, registry)(Run(1))

    def killed(*_: object, **__: object) -> None:
        raise InterruptedError

    for store, step in ((AdoptionCounts, "forget"), (AdoptionState, "advance")):
        with monkeypatch.context() as patch, pytest.raises(InterruptedError):
            patch.setattr(store, step, killed)
            job(database, NOW, registry, retention_days=1)(Run(2))
    result = job(database, NOW, registry, retention_days=1)(Run(3))

    floor = retained_from(NOW, 1)
    assert database["adoption_counts"].count_documents({"_id.hour": {"$lt": floor}}) == 0
    assert result["figures"] == [vars_of(e) for e in brute_force(database, NOW, registry, floor)]


def test_a_report_leaves_out_what_expired_since_the_last_roll_up(database: Db) -> None:
    chance = random.Random(3)
    registry = registered(database, SUBJECTS)
    times = spread(chance, 300, NOW - 40 * HOUR, NOW)
    database["events"].insert_many(documents(chance, times, SUBJECTS))
    job(database, NOW - 2 * HOUR, registry, retention_days=1)(Run())

    floor = retained_from(NOW, 1)
    found = report(adoption_stores(database), registry, Bounds(NOW, floor)).figures

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


def test_a_killed_sum_of_an_hour_that_then_expires_leaves_nothing_in_the_totals(
    database: Db,
) -> None:
    registry = registered(database, ["s"])
    old = NOW - 40 * HOUR
    database["events"].insert_many([document(old, "s", 3, 3, 3), document(NOW, "s", 3, 3, 3)])
    job(database, old + MINUTE, registry)(Run(1))
    stores = adoption_stores(database)
    state = claim(stores, 2, NOW)
    groups = stores.events.count(hour_of(old), hour_of(old) + HOUR, "slice")
    stores.counts.write(state.generation, 2, groups)
    state = stores.state.advance(state, counted=hour_of(old) + HOUR)
    # Killed after the hour was added and before that was marked; added again once it has expired.
    hour = list(stores.counts.hours(state.generation, state.since, None))
    stores.totals.add(state.generation, hour)

    result = job(database, NOW, registry, retention_days=1)(Run(3))
    stores.totals.add(state.generation, hour)
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
