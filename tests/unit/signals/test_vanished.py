"""Fields that came and do not any more, and those of which nobody can say so yet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
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
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
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
    assert (late.score, late.figures["share_before"]) == (1, 1)


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
    days = history(60, always, always, until(30))

    found = vanished(schema("id", "a", "a.b"), days, START + 60 * DAY, [("a",)])

    assert found == []


def test_without_events_nothing_vanishes() -> None:
    days = history(40, always, always)

    assert vanished(schema("id", "a"), days, START + 400 * DAY) == []
    assert vanished(schema("id", "a"), [], START) == []


def hours(*after: int) -> set[int]:
    """The hour 0, and further ones so long after the one before."""
    return set(itertools.accumulate(after, initial=0))


def weekly(hour: int, weeks: int) -> set[int]:
    return {week * 168 + hour for week in range(weeks)}


@pytest.mark.parametrize(
    ("came", "an_hour", "absent"),
    [
        # 1,000 events lack it.
        pytest.param(hours(*[1] * 720), 1, 1001, id="events"),
        # Three times the longest gap, 72 hours, and one more; 80 gaps are enough for that.
        pytest.param(hours(*[72] * 80), 1000, 217, id="gap"),
        # 19 gaps of 71 hours at any hour of the week: (3 / 22) ** (2 * 323 / 71 - 1) is a ten
        # millionth at last.
        pytest.param(hours(*[72] * 19), 1000, 324, id="chance"),
        # One more: an hour is usual, two of them are a gap, and three times that are enough.
        pytest.param(hours(*[72] * 20), 1000, 217, id="usual hours"),
        # 29 gaps of four usual hours: (3 / 32) ** (2 * 16 / 4 - 1).
        pytest.param(hours(*[120] * 29), 1000, 385, id="chance in usual hours"),
        # It never failed to come in 12 weeks: (3 / 15) ** (2 * 6 - 1).
        pytest.param(weekly(0, 12), 1000, 1009, id="no gap"),
        # Ten gaps of half the longest, 70 hours, at least: (3 / 13) ** (2 * 420 / 70 - 1).
        pytest.param(hours(*[71] * 5, *[36] * 5, *[30] * 8), 1000, 421, id="half of the longest"),
        # Of gaps of two usual hours hardly one more can be told from none: all 39 times count.
        pytest.param(hours(*([*[24] * 12, 72] * 3)[:-1]), 1000, 217, id="short gaps"),
        # Two gaps of three of them: (3 / 5) ** (2 * 49 / 3 - 1).
        pytest.param(hours(*([*[24] * 12, 96] * 3)[:-1]), 1000, 1177, id="two gaps"),
        # It came for four weeks to the hour.
        pytest.param(hours(*[1] * 672), 20, 169, id="four weeks"),
    ],
)
def test_a_field_vanished_from_an_hour_on(came: set[int], an_hour: int, absent: int) -> None:
    last, version = max(came), schema("id", "a")
    ends = last + absent
    days = history(
        ends // 24 + 1, always, lambda day, hour: day * 24 + hour in came, an_hour=an_hour
    )

    def found(hour: int) -> list[Finding]:
        return vanished(version, days[: hour // 24 + 1], START + hour * HOUR)

    (end,) = found(ends)
    assert found(ends - 1) == []
    assert end.since == START + (last + 1) * HOUR
    gaps = [b - a for a, b in itertools.pairwise(sorted(came))]
    assert end.figures["absent_hours"] == absent - 1
    assert end.figures["longest_gap_hours"] == max(gaps) - 1


def test_a_field_that_came_for_less_than_four_weeks_is_not_judged() -> None:
    came = {hour + 12 for hour in hours(*[1] * 671)}

    found = found_after(60, schema("id", "a"), always, lambda day, hour: day * 24 + hour in came)

    assert found == []


def test_a_gap_lasts_as_long_as_the_events_that_lack_the_field_take() -> None:
    came = hours(*[72] * 19)
    last = max(came)
    days = history(90, always, lambda day, hour: day * 24 + hour in came, an_hour=1000)
    for day in days[last // 24 + 1 :]:
        day.looked_at = [500] * 24
        day.fields[0] = Seen(24 * 500, 0, 8, ALL)

    def found(hour: int) -> list[Finding]:
        return vanished(schema("id", "a"), days[: hour // 24 + 1], START + hour * HOUR)

    # As above, of events: 23 more of the last day, and half as many an hour since then.
    assert found(last + 1 + 622) == []
    assert found(last + 1 + 623) != []


def test_what_was_known_before_and_did_not_come_had_a_gap() -> None:
    def comes(day: int, _hour: int) -> bool:
        return 2 <= day < 60

    days = history(150, always, comes)
    known = schema("id", "a")
    new = replace(known, fields=(known.fields[0], replace(known.fields[1], since=2)))
    for day in days[1:]:
        day.version = 2

    def found(version: SchemaVersion, absent: int) -> list[Finding]:
        upto = 60 * 24 + absent
        return vanished(version, days[: upto // 24 + 1], START + upto * HOUR)

    (end,) = found(new, 168)
    assert end.figures["longest_gap_hours"] == 0
    # One gap of 48 hours, and 1,369 since: (3 / 4) ** (2 * 1369 / 48 - 1) is a ten millionth.
    assert found(known, 1368) == []
    (end,) = found(known, 1369)
    assert end.figures["longest_gap_hours"] == 48


def test_figures_tell_of_the_share_of_events_that_sent_it() -> None:
    def share(comes: Comes, sent: float, parent: Comes = always, silent: int = -1) -> float:
        days = history(60, always, parent, until(30, comes))
        for number, day in enumerate(days):
            if number == silent:
                day.looked_at, day.fields = [0] * 24, {}
            for position, seen in day.fields.items():
                part = round(seen.sent * sent) if position == 2 else seen.sent
                day.fields[position] = seen._replace(sent=part)
        version = schema("id", "a", "a.b")
        (found,) = vanished(version, days, START + 60 * DAY)
        assert found.path == ("a", "b")
        return float(found.figures["share_before"])

    def night(_day: int, hour: int) -> bool:
        return hour in (2, 3)

    assert share(always, 1 / 3) == 0.3333
    # Of the events in the hours in which it used to come.
    assert share(night, 0.25) == 0.25
    assert share(always, 1, silent=12) == 1
    # Its parent is known to come on that day, not in which hours most of it.
    assert share(night, 1, lambda day, hour: day >= 30 or night(day, hour)) == 1


def test_a_child_that_stands_before_its_parent_is_not_named_beside_it() -> None:
    found = found_after(75, schema("id", "a.b", "a"), always, until(40), until(60))

    assert [each.path for each in found] == [("a",)]


def test_an_absorbed_field_is_the_parent_of_none() -> None:
    fields = (*schema("id", "a", "a.b").fields, Field(("a",), 1, {}, 2))
    version = SchemaVersion("s", 2, fields, (), START)

    (found,) = found_after(60, version, always, always, until(30))

    assert found.figures["events_without"] == 30 * 24 * 20


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
