"""Two that count, sum or rebuild at once do no harm."""

from __future__ import annotations

import random
from datetime import datetime

import pytest

from consumer.adoption.counts import Superseded
from consumer.adoption.report import report
from consumer.adoption.rollup import Bounds, adoption_stores, claim, rebuild, roll_up
from consumer.core.clock import HOUR
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
    stored_counts,
    vars_of,
)
from tests.support.jobs import Run


def never() -> bool:
    return False


def quietly(_: datetime) -> None:
    pass


def test_a_stale_holder_of_the_lease_cannot_write_past_its_fence(database: Db) -> None:
    chance = random.Random(6)
    registry = registered(database, SUBJECTS)
    database["events"].insert_many(
        documents(chance, spread(chance, 200, NOW - 9 * HOUR, NOW), SUBJECTS)
    )
    stores, bounds = adoption_stores(database), Bounds(NOW, None)
    stale = claim(stores, 1, NOW)
    # It read the first hours when they held less, then stood still.
    early = stores.events.count(NOW - 9 * HOUR, NOW - 8 * HOUR, "slice")[:1]
    result = job(database, NOW, registry)(Run(2))
    counted = stored_counts(database)

    with pytest.raises(Superseded):
        stores.counts.write(stale.generation, stale.fence, early)
    with pytest.raises(Superseded):
        roll_up(stores, stale, bounds, never, quietly)
    with pytest.raises(Superseded):
        claim(stores, 1, NOW)

    assert stored_counts(database) == counted
    assert job(database, NOW, registry)(Run(3))["figures"] == result["figures"]


def test_two_processes_that_sum_the_same_hours_add_them_once(database: Db) -> None:
    registry = registered(database, ["s"])
    at = NOW - 3 * HOUR
    database["events"].insert_many([document(at, "s", 3, 3, 3) for _ in range(5)])
    job(database, NOW, registry)(Run(1))
    stores = adoption_stores(database)
    state = stores.state.current()
    assert state is not None
    hour = list(stores.counts.hours(state.generation, state.since, None))

    stores.totals.add(state.generation, hour)
    stores.totals.add(state.generation, hour)

    (total,) = stores.totals.all(state.generation).values()
    assert total.count == 5


def test_rebuild_finds_what_came_too_late_and_leaves_one_generation(database: Db) -> None:
    chance = random.Random(7)
    registry = registered(database, SUBJECTS)
    events = database["events"]
    events.insert_many(documents(chance, spread(chance, 300, NOW - 30 * HOUR, NOW), SUBJECTS))
    job(database, NOW, registry)(Run(5))
    events.insert_many(documents(chance, spread(chance, 50, NOW - 30 * HOUR, NOW), SUBJECTS))
    events.delete_many({"processed_at": {"$lt": NOW - 25 * HOUR}})
    stores, bounds = adoption_stores(database), Bounds(NOW, None)
    expected = brute_force(database, NOW, registry)
    assert report(stores, registry, bounds).figures != expected
    # A rebuild that was cut off changes nothing, and the next one clears up after it.
    cut = Run(stops_at=3)
    assert rebuild(stores, bounds, cut.stopping, quietly) is None
    assert report(stores, registry, bounds).figures != expected

    state = rebuild(stores, bounds, never, quietly)

    assert state is not None
    assert report(stores, registry, bounds).figures == expected
    assert database["adoption_counts"].distinct("_id.g") == [state.generation]
    assert database["adoption_totals"].distinct("_id.g") == [state.generation]
    assert database["adoption_state"].count_documents({}) == 2
    assert job(database, NOW, registry)(Run(5))["figures"] == [vars_of(e) for e in expected]


def test_the_earlier_of_two_rebuilds_is_superseded(database: Db) -> None:
    database["events"].insert_many([document(NOW - n * HOUR, "s", 1, 1, 1) for n in range(9)])
    stores, bounds = adoption_stores(database), Bounds(NOW, None)
    seen: list[datetime] = []

    def interfere(at: datetime) -> None:
        if not seen:
            seen.append(at)
            rebuild(stores, bounds, never, quietly)

    with pytest.raises(Superseded):
        rebuild(stores, bounds, never, interfere)

    state = stores.state.current()
    assert state is not None
    assert state.generation == 2
