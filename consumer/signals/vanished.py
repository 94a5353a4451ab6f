"""Find the fields that came and do not any more, from the statistics of many days."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, cycle, islice, pairwise

from consumer.core.clock import HOUR
from consumer.core.paths import ERASED, Path
from consumer.schemas.model import SchemaVersion
from consumer.signals.signals import Finding
from consumer.signals.statistics import DAY, HOURS, Day

# Days that are looked at: a year, so that what comes at its end is known to.
HISTORY = 400
WEEK = 7 * HOURS

# A field vanished: absent at least so long, for so many events in its usual hours, and for three
# times its longest gap; it came for four weeks, so that a month's end is known to come again.
_ABSENT = timedelta(days=7)
_EVENTS = 1000
_TIMES = 3
_KNOWN = timedelta(days=28)
# An hour of the week is usual where it came so often, on average.
_USUAL = 3
# The chance of so long a gap, if gaps go on as they were: of a million fields a day none should be
# taken for vanished that comes again.
_CHANCE = 1e-7


def vanished(
    version: SchemaVersion,
    days: Sequence[Day],
    now: datetime,
    passed: Collection[Path] = (),
    stopping: Callable[[], bool] = lambda: False,
) -> list[Finding]:
    """The topmost fields that came, and do not any more; not all of them once it is `stopping`.
    `days` ascend; `passed` are paths of which more is known, as those that are filled from another.
    """
    if not days:
        return []
    positions = {each.path: at for at, each in enumerate(version.fields) if each.absorbed is None}
    last = last_hours(days)
    history = _History(days, now)
    found: dict[Path, Finding] = {}
    for position, known in sorted(enumerate(version.fields), key=lambda each: len(each[1].path)):
        at = last.get(position)
        if at is None or now - at < _ABSENT or known.absorbed is not None:
            continue
        path = known.path
        above = [path[:depth] for depth in range(1, len(path) + 1)]
        if known.retired is not None or ERASED in path or any(each in passed for each in above):
            continue
        if any(each in found for each in above):
            continue
        if stopping():
            break
        end = history.end_of(
            position, positions.get(path[:-1]), was_known=known.since <= days[0].version
        )
        if end is not None:
            since = days[0].day + (end.last + 1) * HOUR
            sent = sum(day.of(position) for day in days)
            figures = {
                "absent_hours": end.absent - 1,
                "longest_gap_hours": end.longest - 1,
                "events_without": int(end.events),
                "share_before": round(sent / max(end.before, sent), 4),
            }
            found[path] = Finding("vanished", path, None, since, 1.0, figures)
    return list(found.values())


def last_hours(days: Sequence[Day]) -> dict[int, datetime]:
    """The end of the last hour in which each field came."""
    last: dict[int, datetime] = {}
    for day in reversed(days):
        for position in day.fields.keys() - last.keys():
            last[position] = day.day + day.fields[position].hours.bit_length() * HOUR
    return last


@dataclass(frozen=True, slots=True)
class _End:
    """The last hour in which a field came, hours since then and of its longest gap, events that
    lack it and those before."""

    last: int
    absent: int
    longest: int
    events: float
    before: float


@dataclass(frozen=True, slots=True)
class _Clock:
    """Amounts before each hour; from one hour to the next there is no gap, it counts as the
    `least`."""

    passed: Sequence[float]
    least: float


class _History:
    """Days hour by hour since the first. Fields that came in the same hours are judged once."""

    def __init__(self, days: Sequence[Day], now: datetime) -> None:
        self._days = days
        self._offsets = [(day.day - days[0].day) // DAY for day in days]
        self._today = (now - days[0].day) // DAY
        self._end = int((now - days[0].day) // HOUR)
        self._events: dict[int | None, list[float]] = {}
        self._ends: dict[tuple[tuple[int, ...], int | None, bool], _End | None] = {}

    def end_of(self, position: int, parent: int | None, *, was_known: bool) -> _End | None:
        """The end of a field that vanished; None of one that did not. `was_known`: also before the
        first day."""
        rows = (day.fields.get(position) for day in self._days)
        key = tuple(seen.hours if seen else 0 for seen in rows), parent, was_known
        if key not in self._ends:
            self._ends[key] = self._end_of(*key)
        return self._ends[key]

    def _end_of(self, seen: Sequence[int], parent: int | None, was_known: bool) -> _End | None:
        days = [(offset, bits) for offset, bits in zip(self._offsets, seen, strict=True) if bits]
        came = [offset for offset, _ in days]
        # Most are told by their days alone: a gap between two is a day shorter than they are apart.
        apart = max((b - a - 1 for a, b in pairwise(came)), default=0)
        if came[-1] - came[0] < _KNOWN // DAY or self._today - came[-1] < _TIMES * apart:
            return None
        hours = [
            at * HOURS + hour for at, bits in days for hour in range(HOURS) if bits >> hour & 1
        ]
        last, absent = hours[-1], self._end - hours[-1]
        gaps = [(a, b) for a, b in pairwise(hours) if b > a + 1]
        if was_known:
            # It did not come before.
            gaps.append((-1, hours[0]))
        longest = max((b - a for a, b in gaps), default=1)
        if (last - hours[0]) * HOUR < _KNOWN or absent <= _TIMES * longest:
            return None
        usual = {hour % WEEK for hour in hours}
        is_usual = [hour in usual for hour in range(WEEK)]
        of_parent = self._of(parent)
        hourly = zip(of_parent, cycle(is_usual), strict=False)
        by_event = [each if is_now else 0.0 for each, is_now in hourly]
        events = sum(by_event[last + 1 : self._end])
        if events < _EVENTS:
            return None
        if len(hours) < _USUAL * len(usual):
            # It comes at any hour: those that it came in by now are no more usual than others.
            is_usual = [True] * WEEK
            by_event = of_parent
        by_hour = list(islice(cycle(map(float, is_usual)), self._end + 1))
        chance = max(
            _chance(_clock(amounts), gaps, len(hours), last, self._end)
            for amounts in (by_hour, by_event)
        )
        if chance > _CHANCE:
            return None
        return _End(last, absent, longest, events, sum(by_event[: last + 1]))

    def _of(self, parent: int | None) -> list[float]:
        """The events of each hour that sent the parent."""
        if parent not in self._events:
            events = [0.0] * (self._end + 1)
            for offset, day in zip(self._offsets, self._days, strict=True):
                share = day.of(parent) / (day.events or 1)
                for at, looked_at in enumerate(day.looked_at, offset * HOURS):
                    if at <= self._end:
                        events[at] = looked_at * share
            self._events[parent] = events
        return self._events[parent]


def _clock(amounts: Sequence[float]) -> _Clock:
    passed = list(accumulate(amounts, initial=0.0))
    return _Clock(passed, passed[-1] / (len(amounts) - amounts.count(0.0)))


def _chance(
    clock: _Clock, gaps: Sequence[tuple[int, int]], count: int, last: int, end: int
) -> float:
    """A bound on the chance that a gap gets as long as the present one, if gaps go on as they were.

    Of k gaps at least half as long as the longest none was longer than that. By the rule of three
    no more than 3 in k get half of the longest longer, and of those again no more than 3 in k.
    """
    passed = clock.passed
    lengths = [passed[b] - passed[a + 1] for a, b in gaps]
    longest = max(max(lengths, default=0.0), clock.least)
    many = clock.least * 2 >= longest
    long = count if many else sum(length * 2 >= longest for length in lengths)
    steps = 2 * (passed[end] - passed[last + 1]) / longest - 1
    return float((3 / (long + 3)) ** steps)
