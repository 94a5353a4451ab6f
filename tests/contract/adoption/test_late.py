"""Events that come late, stamped by a slow clock or stored long after, are counted after all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from consumer.adoption.history import AdoptionHistory
from consumer.adoption.report import report
from consumer.adoption.rollup import LATE, OPEN, Bounds, adoption_stores, reopen
from consumer.adoption.state import RecountMark
from consumer.core.clock import hour_of, utc_now
from consumer.monitoring.instances import Instance, Instances, clocks_apart
from consumer.schemas.manual_changes import retire
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.heartbeat import Heartbeat
from tests.support.adoption import NOW, Db, document, job
from tests.support.jobs import Run

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
HERE = Instance("here", "box", 1, "1")


def apart(by: timedelta) -> Callable[[], datetime]:
    """A clock that is ahead by so much."""
    return lambda: utc_now() + by


def stored(db: Db, at: datetime, count: int = 7) -> None:
    db["events"].insert_many([document(at, "s", 1, 1, 1) for _ in range(count)])


def total(db: Db, now: datetime) -> int:
    """The job's word at a time, and the console's, which are the same."""
    made = job(db, now)
    made(Run())
    said = sum(each.total for each in made.latest)
    read = AdoptionHistory(db).documents().documents["s"]
    assert said == sum(read.values())
    return said


@pytest.mark.parametrize("behind", [10 * MINUTE, 3 * HOUR, 23 * HOUR])
def test_events_of_a_process_whose_clock_is_behind_are_counted_at_once(
    database: Db, behind: timedelta
) -> None:
    stored(database, NOW - 30 * HOUR, 5)
    stored(database, NOW - MINUTE, 3)
    for minutes in range(-600, 1, 7):
        assert total(database, NOW + minutes * MINUTE) >= 5

    late: list[datetime] = []
    beat = Heartbeat(Instances(database["instances"]), HERE, dict, late.append, apart(-behind))
    beat()
    stored(database, NOW - behind)
    RecountMark(database).set_late(NOW - behind - MINUTE)

    assert len(late) == 1
    beat.finish()
    assert len(late) == 2
    assert total(database, NOW) == 15
    assert RecountMark(database).late() is None
    assert total(database, NOW + MINUTE) == 15
    # And so it stays when the hours are summed up.
    for hours in (1, 5, 23, 25, 26, 49):
        assert total(database, NOW + hours * HOUR) == 15


@pytest.mark.parametrize("seconds", [0, -60, -140, 60, 1000])
def test_a_clock_that_is_right_or_ahead_makes_nothing_late(database: Db, seconds: int) -> None:
    late: list[datetime] = []
    clock = apart(timedelta(seconds=seconds))
    beat = Heartbeat(Instances(database["instances"]), HERE, dict, late.append, clock)

    beat()
    seen_then = Instances(database["instances"]).all()
    beat.finish()

    assert late == []
    (seen,) = seen_then
    assert abs(seen["ahead"] - seconds) < 60
    assert abs(beat.ahead.total_seconds() - max(0, seconds)) < 60


def test_a_job_whose_clock_is_ahead_does_not_close_what_others_still_stamp(database: Db) -> None:
    ahead = 20 * MINUTE
    fast = job(database, NOW + ahead)
    fast._ahead = lambda: ahead
    fast(Run())

    stored(database, NOW)
    fast(Run())

    assert sum(each.total for each in fast.latest) == 7
    assert total(database, NOW + HOUR) == 7


def test_what_came_late_without_a_mark_is_counted_when_its_hour_is_looked_at_again(
    database: Db,
) -> None:
    stored(database, NOW - 3 * HOUR, 5)
    assert total(database, NOW) == 5
    stored(database, NOW - 2 * LATE)
    assert total(database, NOW + MINUTE) == 5

    assert [total(database, NOW + n * 20 * MINUTE) for n in range(1, 7)][-1] == 12


def test_what_came_later_than_that_is_counted_before_its_hour_is_summed_up(database: Db) -> None:
    stored(database, NOW - 3 * HOUR, 5)
    for hours in range(10):
        assert total(database, NOW + hours * HOUR) == 5
    stored(database, NOW)

    assert [total(database, NOW + hours * HOUR) for hours in range(10, 10 + 24)][-1] == 12
    assert total(database, NOW + 3 * OPEN) == 12


def test_of_several_slow_processes_the_slowest_counts_and_a_mark_made_meanwhile_stays(
    database: Db,
) -> None:
    mark = RecountMark(database)
    mark.set_late(NOW - HOUR)
    mark.set_late(NOW - 2 * HOUR)
    mark.set_late(NOW - MINUTE)
    first = mark.late()
    assert first is not None
    assert first[1] == NOW - 2 * HOUR

    mark.set_late(NOW)
    mark.clear_late(first[0])

    assert mark.late() is not None


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [(0, -200, []), (0, -400, ["second"]), (200, -200, ["first", "second"]), (400, 0, ["first"])],
)
def test_clocks_more_than_five_minutes_apart_are_named(
    database: Db, first: int, second: int, named: list[str]
) -> None:
    instances = Instances(database["instances"])
    for name, seconds in (("first", first), ("second", second)):
        clock = apart(timedelta(seconds=seconds))
        Heartbeat(instances, Instance(name, "box", 1, "1"), clock=clock)()
    instances.beat(Instance("silent", "box", 1, "1"), clock=apart(timedelta(hours=9)))
    old = utc_now() - timedelta(minutes=10)
    database["instances"].update_one({"_id": "silent"}, {"$set": {"last_seen": old}})
    database["instances"].update_one(
        {"_id": "of an older program"}, {"$set": {"last_seen": utc_now()}}, upsert=True
    )

    told = clocks_apart(instances.all())

    assert [sentence.split()[4] for sentence in told] == named
    assert all("MongoDB" in sentence for sentence in told)


def test_a_process_with_a_clock_that_is_off_says_so_once(database: Db) -> None:
    clock = apart(timedelta(minutes=-10))
    beat = Heartbeat(Instances(database["instances"]), HERE, clock=clock)

    with capture_logs() as lines:
        beat()
        beat()

    (line,) = lines
    assert line["event"] == "the clock is behind MongoDB's: set both by NTP"
    assert 590 < line["seconds"] < 660


def test_what_is_open_again_is_counted_once_before_the_job_counts_it(database: Db) -> None:
    for hours in range(20):
        stored(database, NOW - hours * HOUR, 2)
    assert total(database, NOW) == 40
    stores = adoption_stores(database)
    state = stores.state.current()
    assert state is not None
    reopen(stores, state, NOW - 5 * HOUR)
    stored(database, NOW - 4 * HOUR)

    history = AdoptionHistory(database)
    hour = hour_of(NOW - 4 * HOUR)
    assert sum(history.documents().documents["s"].values()) == 47
    assert sum(history.sent("s", [hour]).hours[hour].values()) == 9
    figures = report(stores, SchemaRegistry(database["schema_versions"]), Bounds(NOW, None)).figures
    assert [each.total for each in figures] == [47]


def test_a_version_that_people_made_leaves_producers_at_the_one_before(database: Db) -> None:
    schemas = SchemaRegistry(database["schema_versions"])
    schemas.admit("s", {"a": 1})
    schemas.admit("s", {"a": 1, "b": 1})
    database["events"].insert_many([document(NOW - MINUTE, "s", 2, 2, 2) for _ in range(4)])
    database["events"].insert_one(document(NOW - MINUTE, "s", 2, 1, 2))
    schemas.change("s", lambda head, now: retire(head, ("b",), now))

    made = job(database, NOW, schemas)
    made(Run())

    (figures,) = made.latest
    assert (figures.latest_version, figures.adopted) == (3, 0)
    assert figures.producer_adoption_rate == 80
