"""Looks, days and signals on a real mongod, as they are kept and found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from consumer.core.errors import StoreUnavailable
from consumer.mongodb.client import FIELD_STATISTICS, SIGNALS, open_database
from consumer.signals.signals import Signal, State
from consumer.signals.statistics import Day, Seen, Together
from consumer.signals.store import FieldStatistics, Kept, Look, Signals
from tests.support.field_statistics import AT, DAY, HOUR
from tests.support.signals import GONE, RENAMED

Db = Database[dict[str, Any]]
LOOK = Look(1, AT, AT + HOUR)
SIGNAL = Signal("vanished", ("a",), None, AT, 1.0, GONE, subject="s", last_seen=AT)


@pytest.fixture
def statistics(database: Db) -> FieldStatistics:
    return FieldStatistics(open_database(database.client, database.name))


@pytest.fixture
def signals(database: Db) -> Signals:
    return Signals(open_database(database.client, database.name))


def a_day(at: datetime = AT, sent: int = 3, **more: Any) -> Day:
    return Day(at, 2, [sent, *[0] * 22, 1], {0: Seen(sent, 1, 8, 1 | 1 << 23)}, **more)


def test_a_look_begins_where_the_last_one_ended(statistics: FieldStatistics) -> None:
    first = statistics.begin(AT, fence=1)
    again = statistics.begin(AT + HOUR, fence=1)
    assert first == again == Look(1, AT - DAY, AT)
    # Another one than that under way is not what ended.
    statistics.finish(Look(2, AT, AT))
    assert statistics.begin(AT + HOUR, fence=1) == first

    statistics.finish(first)
    assert statistics.begin(AT, fence=1) is None
    second = statistics.begin(AT + HOUR, fence=2)
    assert second == Look(2, AT, AT + HOUR)
    statistics.finish(second)
    # A clock that was set back is waited for.
    assert statistics.begin(AT, fence=2) is None
    assert statistics.begin(AT + 2 * HOUR, fence=2) == Look(3, AT + HOUR, AT + 2 * HOUR)


def test_who_lost_its_lease_begins_no_look(statistics: FieldStatistics, database: Db) -> None:
    statistics.begin(AT, fence=2)
    was = database[FIELD_STATISTICS].find_one({"_id": "looks"})

    with pytest.raises(StoreUnavailable, match="another process counts fields now"):
        statistics.begin(AT + DAY, fence=1)

    assert database[FIELD_STATISTICS].find_one({"_id": "looks"}) == was


def test_what_a_look_counted_is_added_once(statistics: FieldStatistics) -> None:
    pairs = {(0, 1): Together(5, 4, 3, 2)}
    made = statistics.add("s", a_day(pairs=pairs), LOOK, AT)
    again = statistics.add("s", a_day(sent=9), LOOK, AT + DAY)

    assert made == again == statistics.newest("s") == Kept(a_day(pairs=pairs), 1, AT)
    second = statistics.add("s", a_day(sent=2), Look(2, AT, AT), AT + DAY)
    kept = statistics.newest("s")
    assert kept == second
    assert (second.look, second.judged_at) == (2, AT)
    assert second.day.looked_at == [5, *[0] * 22, 2]
    assert second.day.fields == {0: Seen(5, 2, 8, 1 | 1 << 23)}
    assert second.day.pairs == pairs


def test_the_place_of_what_is_none_of_ours_is_taken(
    statistics: FieldStatistics, database: Db
) -> None:
    key = {"subject": "s", "day": AT}
    database[FIELD_STATISTICS].insert_one({"_id": key, "look": "x", "more": 1})

    made = statistics.add("s", a_day(), LOOK, AT + HOUR)

    assert made == statistics.newest("s") == Kept(a_day(), 1, AT + HOUR)


def test_days_are_found_by_subject_and_time(statistics: FieldStatistics) -> None:
    for subject, number in (("s", 2), ("s", 0), ("s", 1), ("r", 3), ("s2", 3), ("t", 0)):
        statistics.add(subject, a_day(AT + number * DAY, sent=number + 1), LOOK, AT)

    def found(start: datetime) -> list[int]:
        return [(day.day - AT).days for day in statistics.days("s", start)]

    newest = statistics.newest("s")
    assert newest is not None
    assert newest.day.day == AT + 2 * DAY
    assert (found(AT), found(AT + DAY), found(AT + 3 * DAY)) == ([0, 1, 2], [1, 2], [])
    assert statistics.newest("u") is None
    sums = [statistics.figures("s", days, AT + 2 * DAY + HOUR).looked_at for days in (1, 2, 3)]
    assert sums == [4, 7, 9]


def test_a_judgement_is_noted_as_of_its_look(statistics: FieldStatistics, database: Db) -> None:
    kept = statistics.add("s", a_day(), LOOK, AT)
    statistics.add("s", a_day(AT + DAY), LOOK, AT)
    statistics.add("t", a_day(), LOOK, AT)
    kept.judged_at, kept.day.pairs, kept.day.version = AT + HOUR, {(0, 1): Together()}, 9

    statistics.judge("s", replace(kept, look=2))
    unchanged = statistics.days("s", AT)[0]
    statistics.judge("s", kept)
    (day, other) = statistics.days("s", AT)

    assert unchanged.pairs == {}
    assert (day.pairs, day.version) == ({(0, 1): Together()}, 2)
    assert other.pairs == {}
    judged = [each["judged_at"] for each in database[FIELD_STATISTICS].find().sort("_id")]
    assert judged.count(AT + HOUR) == 1


@pytest.mark.parametrize(("days", "left"), [(0, 4), (1, 3), (2, 1), (4, 0)])
def test_whole_days_go_the_oldest_first(
    statistics: FieldStatistics, database: Db, days: int, left: int
) -> None:
    # Of the second day there are two.
    for subject, number in (("b", 0), ("a", 1), ("b", 1), ("a", 2)):
        statistics.add(subject, a_day(AT + number * DAY), LOOK, AT)
    size = int(database.command("collStats", FIELD_STATISTICS)["size"])
    one = size // 4
    most = size - (0, 1, 3 * one, 0, size)[days]

    assert statistics.trim(most, lambda: True) == 0
    assert statistics.trim(most) == 4 - left
    kept = sorted(each["_id"]["day"] for each in database[FIELD_STATISTICS].find())
    assert kept == sorted(AT + number * DAY for number in (0, 1, 1, 2))[4 - left :]


def test_what_has_no_day_is_not_trimmed(statistics: FieldStatistics, database: Db) -> None:
    database[FIELD_STATISTICS].insert_many([{"_id": {"day": "x"}}, {"_id": 5}])

    assert statistics.trim(0) == 0
    assert database[FIELD_STATISTICS].count_documents({}) == 2


def test_signals_are_found_by_subject(signals: Signals) -> None:
    ended = replace(SIGNAL, path=("b",), ended_at=AT)
    others = [replace(SIGNAL, subject=subject) for subject in ("r", "s2", "t")]
    renamed = replace(SIGNAL, kind="renamed", to=("n", "m"), figures=RENAMED)
    signals.save([(each, True) for each in (SIGNAL, ended, renamed, *others)])

    assert signals.of("s") == [renamed, SIGNAL]
    assert signals.of("s", ended=True) == [renamed, SIGNAL, ended]
    assert {each.subject for each in signals.of()} == {"r", "s", "s2", "t"}
    assert signals.of("u") == []


def test_what_people_said_stays_where_a_signal_goes_on(signals: Signals, database: Db) -> None:
    signals.save([(SIGNAL, True)])
    assert signals.decide([SIGNAL], "muted") == 1
    said = replace(SIGNAL, state="muted", is_told=True)
    assert signals.of() == [said]

    later = replace(SIGNAL, last_seen=AT + DAY, score=0.5, since=AT + DAY, ended_at=AT + DAY)
    signals.save([(later, False)])
    going_on = replace(said, last_seen=AT + DAY, score=0.5, ended_at=AT + DAY)
    assert signals.of(ended=True) == [going_on]
    signals.save([(replace(later, ended_at=None), False)])
    assert signals.of() == [replace(going_on, ended_at=None)]
    # What is new again is open, and what somebody deleted meanwhile stays away.
    signals.save([(replace(SIGNAL, since=AT + DAY), True)])
    assert signals.of() == [replace(SIGNAL, since=AT + DAY)]
    database[SIGNALS].delete_many({})
    signals.save([(SIGNAL, False)])
    signals.save([])
    assert signals.of() == []


def test_decisions_are_about_the_signals_that_are_named(signals: Signals) -> None:
    other = replace(SIGNAL, path=("b",))
    signals.save([(SIGNAL, True), (other, True)])

    def states(state: State) -> list[tuple[State, bool]]:
        assert signals.decide([SIGNAL, replace(SIGNAL, path=("gone",))], state) == 1
        return [(each.state, each.is_told) for each in signals.of()]

    assert states("acknowledged") == [("acknowledged", True), ("open", False)]
    assert states("open") == [("open", True), ("open", False)]


def test_a_signal_is_told_once(signals: Signals) -> None:
    others = [replace(SIGNAL, path=(name,), is_told=name == "c") for name in "bc"]
    signals.save([(each, True) for each in (SIGNAL, *others)])
    assert signals.untold(1) == [SIGNAL]
    assert signals.untold(9) == [SIGNAL, others[0]]

    assert signals.tell(SIGNAL, told=True)
    assert not signals.tell(SIGNAL, told=True)
    assert signals.untold(9) == others[:1]
    assert signals.tell(SIGNAL, told=False)
    assert not signals.tell(SIGNAL, told=False)
    assert len(signals.untold(9)) == 2


def test_signals_of_a_name_are_forgotten(signals: Signals, database: Db) -> None:
    renamed = replace(SIGNAL, kind="renamed", to=("x", "name"), figures=RENAMED)
    named = [replace(SIGNAL, path=("x", "name")), renamed]
    left = [SIGNAL, replace(SIGNAL, subject="t", path=("name",))]
    signals.save([(each, True) for each in (*named, *left)])
    # Nobody can read it, but for its name.
    database[SIGNALS].insert_one({"_id": {"subject": "s", "kind": "vanished", "path": ["name"]}})
    database[SIGNALS].insert_one({"_id": {"subject": "s", "kind": "vanished", "path": 5}})

    assert signals.forget("s", lambda path: "name" in path) == 3
    assert signals.of() == left


@pytest.mark.parametrize(
    "spoil",
    [
        lambda each: {"_id": {**each["_id"], "subject": 5}},
        lambda each: {"_id": {**each["_id"], "path": [5]}},
        lambda each: {"_id": {**each["_id"], "to": [5]}},
        lambda each: {"_id": {**each["_id"], "kind": "vanished"}},
        lambda each: {"_id": {k: v for k, v in each["_id"].items() if k != "to"}},
        lambda each: {"_id": {**each["_id"], "kind": "other"}},
        lambda _: {"figures": GONE},
        lambda _: {"figures": {**RENAMED, "events": -1}},
        lambda _: {"figures": {**RENAMED, "events": 10**10}},
        lambda _: {"score": -0.5},
        lambda _: {"since": DatetimeMS(2**62)},
        lambda _: {"state": "other"},
    ],
)
def test_a_signal_that_is_none_of_ours_is_passed_over(
    signals: Signals, database: Db, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    renamed = replace(SIGNAL, kind="renamed", to=("n",), figures=RENAMED)
    signals.save([(renamed, True)])
    assert signals.of() == [renamed]
    (found,) = database[SIGNALS].find()
    database[SIGNALS].delete_many({})
    database[SIGNALS].insert_one({**found, **spoil(found)})

    assert signals.of() == []
    # A monitor sees those that can be named at all.
    assert set(signals.count_open()) <= {("s", "renamed"), ("s", "vanished")}


def test_figures_may_be_as_large_as_a_fleet_makes_them(signals: Signals) -> None:
    large = replace(SIGNAL, score=0, figures={**GONE, "events_without": 10**10 - 1})
    signals.save([(large, True)])

    assert signals.of() == [large]


def test_open_signals_are_counted_by_subject_and_kind(signals: Signals, database: Db) -> None:
    more = [replace(SIGNAL, path=("b",)), replace(SIGNAL, path=("c",), state="muted")]
    ended = replace(SIGNAL, subject="t", ended_at=AT)
    signals.save([(each, True) for each in (SIGNAL, *more, ended)])
    database[SIGNALS].insert_many(
        [
            {"_id": {"subject": "s", "kind": "other"}, "since": AT, "state": "open"},
            {"_id": {"subject": 5, "kind": "vanished"}, "since": AT, "state": "open"},
            {"_id": {"subject": "s", "kind": "vanished"}, "since": 5, "state": "open"},
        ]
    )

    assert signals.count_open() == {("s", "vanished"): 2, ("t", "vanished"): 0}
