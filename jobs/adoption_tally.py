"""Read the counts and the events since as of one moment; writes nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consumer.errors import StoreUnavailable
from consumer.storage.adoption_state import State
from consumer.storage.adoption_totals import NOTHING
from consumer.timegrid import EPOCH, HOUR, hour_of, next_slice
from jobs.adoption_rollup import Bounds, Ledger

_ATTEMPTS = 10


@dataclass(slots=True)
class Tally:
    """What was counted: documents by subject and version, events of the last hour by subject and
    exhibited version, and events by hour, subject and exhibited version."""

    documents: defaultdict[str, defaultdict[int, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    recent: defaultdict[str, defaultdict[int, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    hourly: defaultdict[tuple[datetime, str, int], int] = field(
        default_factory=lambda: defaultdict(int)
    )


def take(book: Ledger, bounds: Bounds, history: timedelta) -> Tally:
    """A tally of one moment: made again when a roll-up went on while it was read.

    Hours are given one by one as far back as `history`, an hour at least. Raises StoreUnavailable.
    """
    for _ in range(_ATTEMPTS):
        before = book.state.current()
        tally = _tally(book, before, bounds, history)
        after = book.state.current()
        if before == after or (before and after and _same(before, after)):
            return tally
    raise StoreUnavailable("the counts of adoption kept changing while they were read: try again")


def _same(before: State, after: State) -> bool:
    # Sums are marked hour by hour, and a new holder of the lease changes the fence alone.
    return (before.generation, before.since, before.counted) == (
        after.generation,
        after.since,
        after.counted,
    )


def _tally(book: Ledger, state: State | None, bounds: Bounds, history: timedelta) -> Tally:
    tally = Tally()
    counted, hour_ago = bounds.floor or EPOCH, bounds.now - HOUR
    back = hour_of(bounds.now - max(history, HOUR))
    if state is not None:
        counted = max(counted, state.counted)
        _add_counts(tally, book, state, bounds, back)
    older = book.events.count(counted, hour_ago, "hour") if counted < hour_ago else []
    newer = book.events.count(max(counted, hour_ago), None, "hour")
    for group in (*older, *newer):
        tally.documents[group.subject][group.version] += group.count
        if group.at >= back:
            tally.hourly[group.at, group.subject, group.exhibited] += group.count
    if hour_ago < counted:
        # The slice in which the last hour begins counts in part only.
        newer += book.events.count(hour_ago, min(next_slice(hour_ago), counted), "hour")
    for group in newer:
        tally.recent[group.subject][group.exhibited] += group.count
    return tally


def _add_counts(tally: Tally, book: Ledger, state: State, bounds: Bounds, back: datetime) -> None:
    """Add what is counted; `back`: the first hour that is wanted by itself."""
    floor = bounds.floor or EPOCH
    # Read before the hours: a sum says itself up to which hour it goes.
    totals = book.totals.all(state.generation)
    for (subject, version), total in totals.items():
        tally.documents[subject][version] += total.count
    for hour in book.counts.hours(state.generation, state.since, floor):
        total = totals.get((hour.subject, hour.version), NOTHING)
        if total.dropped < hour.hour <= total.added:
            tally.documents[hour.subject][hour.version] -= sum(hour.slices.values())
    recent = next_slice(bounds.now - HOUR)
    start = max(min(state.summed, back), floor)
    for hour in book.counts.hours(state.generation, start, None):
        slices = {at: count for at, count in hour.slices.items() if at < state.counted}
        count = sum(slices.values())
        if hour.hour > totals.get((hour.subject, hour.version), NOTHING).added:
            tally.documents[hour.subject][hour.version] += count
        if count and hour.hour >= back:
            tally.hourly[hour.hour, hour.subject, hour.exhibited] += count
        tally.recent[hour.subject][hour.exhibited] += sum(
            count for at, count in slices.items() if at >= recent
        )
