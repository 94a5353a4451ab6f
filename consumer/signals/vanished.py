"""Find the fields that came and do not any more, from the statistics of many days."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from consumer.core.clock import HOUR
from consumer.core.paths import ERASED, Path
from consumer.schemas.model import Field, SchemaVersion
from consumer.signals.signals import Finding
from consumer.signals.statistics import DAY, HOURS, Day, hours_seen

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
    version: SchemaVersion, days: Sequence[Day], now: datetime, passed: Collection[Path] = ()
) -> list[Finding]:
    """The topmost fields that came, and do not any more. `days` ascend; `passed` are paths of which
    more is known, as those that are filled from another."""
    if not days:
        return []
    positions = {each.path: at for at, each in enumerate(version.fields) if each.absorbed is None}
    last = _last_hours(days)
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
        parent = positions.get(path[:-1]) if len(path) > 1 else None
        if finding := _vanished(known, position, parent, days, now):
            found[path] = finding
    return list(found.values())


def _last_hours(days: Sequence[Day]) -> dict[int, datetime]:
    """The end of the last hour in which each field came."""
    last: dict[int, datetime] = {}
    for day in reversed(days):
        for position in day.fields.keys() - last.keys():
            last[position] = day.day + day.fields[position].hours.bit_length() * HOUR
    return last


def _vanished(
    known: Field, position: int, parent: int | None, days: Sequence[Day], now: datetime
) -> Finding | None:
    """The finding that a field vanished which did not come for a while."""
    start = days[0].day
    came = [(day.day - start) // DAY for day in days if position in day.fields]
    # Most are told by their days alone: a gap between two is a day shorter than they are apart.
    apart = max((b - a - 1 for a, b in pairwise(came)), default=0)
    if came[-1] - came[0] < _KNOWN // DAY or (now - start) // DAY - came[-1] < _TIMES * apart:
        return None
    hours = list(hours_seen(days, position))
    if (hours[-1] - hours[0]) * HOUR < _KNOWN:
        return None
    end = int((now - start) // HOUR)
    usual = frozenset(hour % WEEK for hour in hours)
    by_hour, by_event = _clocks(days, parent, usual, end)
    events = by_event[end] - by_event[hours[-1] + 1]
    if len(hours) < _USUAL * len(usual):
        # It comes at any hour: those that it came in by now are no more usual than others.
        by_hour, by_event = _clocks(days, parent, range(WEEK), end)
    gaps = [(a, b) for a, b in pairwise(hours) if b > a + 1]
    if known.since <= days[0].version and hours[0]:
        # It was known before, and did not come.
        gaps.append((-1, hours[0]))
    longest = max((b - a for a, b in gaps), default=1)
    absent = end - hours[-1]
    if events < _EVENTS or absent <= _TIMES * longest:
        return None
    chance = max(_chance(clock, gaps, len(hours), hours[-1], end) for clock in (by_hour, by_event))
    if chance > _CHANCE:
        return None
    sent = sum(day.of(position) for day in days)
    return Finding(
        "vanished",
        known.path,
        None,
        start + (hours[-1] + 1) * HOUR,
        round(1 - chance, 4),
        {
            "absent_hours": absent - 1,
            "longest_gap_hours": longest - 1,
            "events_without": int(events),
            "share_before": round(sent / max(1, by_event[-1] - events, sent), 4),
        },
    )


def _clocks(
    days: Sequence[Day], parent: int | None, usual: Collection[int], end: int
) -> tuple[list[int], list[float]]:
    """Two clocks that run in the usual hours of the week only: for each hour since the first day,
    the usual hours before it, and the events in them that sent the parent."""
    events = [0.0] * (end + 1)
    for day in days:
        start = (day.day - days[0].day) // DAY * HOURS
        share = day.of(parent) / (day.events or 1)
        for at, looked_at in enumerate(day.looked_at):
            if looked_at and start + at <= end and (start + at) % WEEK in usual:
                events[start + at] = looked_at * share
    hours = [hour % WEEK in usual for hour in range(end + 1)]
    return list(accumulate(hours, initial=0)), list(accumulate(events, initial=0.0))


def _chance(
    clock: Sequence[float], gaps: Sequence[tuple[int, int]], count: int, last: int, end: int
) -> float:
    """A bound on the chance that a gap gets as long as the present one, if gaps go on as they were.

    Of k gaps at least half as long as the longest none was longer than that. By the rule of three
    no more than 3 in k get half of the longest longer, and of those again no more than 3 in k.
    """
    lengths = [clock[b] - clock[a + 1] for a, b in gaps]
    # From one hour to the next there is no gap; it counts as one hour, or as its events.
    least = clock[-1] / max(1, sum(x != y for x, y in pairwise(clock)))
    longest = max(max(lengths, default=0.0), least)
    many = least * 2 >= longest
    long = count if many else sum(length * 2 >= longest for length in lengths)
    steps = 2 * (clock[end] - clock[last + 1]) / longest - 1
    return float((3 / (long + 3)) ** max(0.0, steps))
