"""Fields that came and do not any more, and those of which nobody can say so yet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from time import perf_counter

import pytest

from consumer.core.paths import ERASED
from consumer.schemas.model import Field, SchemaVersion
from consumer.signals.signals import Finding
from consumer.signals.statistics import Day, Seen
from consumer.signals.vanished import vanished

# A Monday.
START = datetime(2026, 1, 5, tzinfo=timezone.utc)
DAY = timedelta(days=1)
ALL = (1 << 24) - 1
# Whether a field comes in an hour of a day.
Comes = Callable[[int, int], bool]


def schema(*paths: str) -> SchemaVersion:
    fields = tuple(Field(tuple(path.split(".")), 1, {}) for path in paths)
    return SchemaVersion("s", 1, fields, (), START)


def history(days: int, *comes: Comes, an_hour: int = 20) -> list[Day]:
    found = []
    for number in range(days):
        day = Day(START + number * DAY, 1, [an_hour] * 24)
        for position, is_sent in enumerate(comes):
            hours = [hour for hour in range(24) if is_sent(number, hour)]
            if hours:
                bits = sum(1 << hour for hour in hours)
                day.fields[position] = Seen(len(hours) * an_hour, 0, 8, bits)
        found.append(day)
    return found


def found_after(
    days: int, version: SchemaVersion, *comes: Comes, an_hour: int = 20
) -> list[Finding]:
    return vanished(version, history(days, *comes, an_hour=an_hour), START + days * DAY)


def always(_day: int, _hour: int) -> bool:
    return True


def until(last: int, comes: Comes = always) -> Comes:
    return lambda day, hour: day < last and comes(day, hour)


def test_a_field_that_came_always_vanished_after_a_week() -> None:
    version = schema("id", "queue")

    early = found_after(36, version, always, until(30))
    (late,) = found_after(37, version, always, until(30))

    assert early == []
    assert (late.kind, late.path, late.to) == ("vanished", ("queue",), None)
    assert late.since == START + 30 * DAY
    assert late.figures["absent_hours"] == 7 * 24
    assert late.figures["events_without"] == 7 * 24 * 20
    assert late.figures["share_before"] == 1


def test_a_thousand_events_must_lack_it() -> None:
    # Five an hour are 840 in a week.
    assert found_after(38, schema("id", "a"), always, until(31), an_hour=5) == []
    assert found_after(40, schema("id", "a"), always, until(31), an_hour=5) != []


def test_the_absence_must_be_three_times_the_longest_gap() -> None:
    def mondays(day: int, hour: int) -> bool:
        return day % 7 == 0 and 8 <= hour < 16

    version = schema("id", "report")
    # It came until day 91; the next was due on day 98.
    comes = until(92, mondays)

    assert found_after(91 + 20, version, always, comes, an_hour=100) == []
    assert found_after(91 + 21, version, always, comes, an_hour=100) != []


def test_only_the_hours_of_the_week_in_which_it_came_count() -> None:
    def nights(_day: int, hour: int) -> bool:
        return hour == 3

    # One hour of 20 events a day is 1,000 events after 50 days.
    assert found_after(60 + 45, schema("id", "a"), always, until(60, nights)) == []
    assert found_after(60 + 51, schema("id", "a"), always, until(60, nights)) != []


def test_a_season_that_was_seen_to_come_again_is_no_end() -> None:
    def month_end(day: int, _hour: int) -> bool:
        return day % 30 >= 25

    for days in range(30, 180, 5):
        assert found_after(days, schema("id", "bonus"), always, month_end) == []


def test_a_field_that_came_for_a_short_time_is_not_judged() -> None:
    assert found_after(60, schema("id", "campaign"), always, until(20)) == []


def test_only_the_topmost_of_what_is_absent_is_named() -> None:
    gone = until(30)

    found = found_after(60, schema("id", "a", "a.b", "a.b.c"), always, gone, gone, gone)

    assert [each.path for each in found] == [("a",)]
    # Also where what stands in it went first, in events that still sent it.
    first = found_after(75, schema("id", "a", "a.b"), always, until(60), until(40))
    assert [each.path for each in first] == [("a",)]


def test_a_field_lacks_only_in_events_that_sent_its_parent() -> None:
    version = schema("case", "case.queue")
    paused = until(30)

    with_parent = found_after(60, version, always, paused)
    without = vanished(version, history(60, paused, until(30)), START + 60 * DAY)

    assert [each.path for each in with_parent] == [("case", "queue")]
    assert [each.path for each in without] == [("case",)]
    # A parent that hardly comes: not enough events lack the field.
    rare = found_after(
        60,
        schema("id", "case", "case.queue"),
        always,
        lambda day, hour: day < 30 or hour == 0,
        paused,
    )
    assert [each.path for each in rare] == []


@pytest.mark.parametrize(
    "gone", [Field(("a",), 1, {}, 2), Field(("a",), 1, {}, None, 2), Field((ERASED,), 1, {})]
)
def test_what_was_absorbed_retired_or_erased_is_passed_over(gone: Field) -> None:
    version = SchemaVersion("s", 2, (Field(("id",), 1, {}), gone), (), START)

    assert found_after(60, version, always, until(30)) == []


def test_a_path_of_which_more_is_known_is_passed_over() -> None:
    days = history(60, always, until(30), until(30))

    found = vanished(schema("id", "a", "a.b"), days, START + 60 * DAY, [("a",)])

    assert found == []


def test_without_events_nothing_vanishes() -> None:
    days = history(40, always, always)

    assert vanished(schema("id", "a"), days, START + 400 * DAY) == []
    assert vanished(schema("id", "a"), [], START) == []


def many(fields: int) -> tuple[SchemaVersion, list[Day]]:
    """Fields that vanished together."""
    names = [f"field{number}" for number in range(fields)]
    return schema("id", *names), history(60, always, *[until(40)] * fields)


def test_fields_that_vanished_together_are_judged_for_little_more_than_one() -> None:
    def seconds(fields: int) -> float:
        version, days = many(fields)
        taken = []
        # The least of some: Windows' clock of a process ticks too seldom for one.
        for _ in range(9):
            began = perf_counter()
            assert len(vanished(version, days, START + 60 * DAY)) == fields
            taken.append(perf_counter() - began)
        return min(taken)

    assert seconds(200) < 60 * seconds(1)


def test_many_fields_that_vanished_do_not_hold_up_a_stop() -> None:
    version, days = many(20)
    asked = itertools.count()

    found = vanished(version, days, START + 60 * DAY, (), lambda: next(asked) == 5)

    assert len(found) == 5
