"""Count events once they are five minutes old, sum up the hours that are whole, and recount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from pymongo.database import Database

from consumer.adoption.counts import AdoptionCounts, AdoptionTotals, HourCount
from consumer.adoption.events import AdoptionEvents
from consumer.adoption.state import AdoptionState, RecountMark, State
from consumer.core.clock import EPOCH, HOUR, hour_of, slice_of
from consumer.mongodb.client import EVENTS, Document

# An event is stamped before it is stored, by the clock of its own process. What is stored later
# than this, or stamped by a clock that is slower, is counted when its hour is looked at again.
LATE = timedelta(minutes=5)
# So long hours stay open to be counted again: a clock may be set to another zone.
OPEN = timedelta(hours=24)
# What is caught up with in one step, be it much or little.
_DAY = timedelta(days=1)

Stopping = Callable[[], bool]
Progress = Callable[[datetime], None]


@dataclass(frozen=True, slots=True)
class Stores:
    """The collections of adoption: events, counts of them, sums, progress, and marks to recount."""

    events: AdoptionEvents
    counts: AdoptionCounts
    totals: AdoptionTotals
    state: AdoptionState
    mark: RecountMark


def adoption_stores(db: Database[Document]) -> Stores:
    """The collections of adoption in a database."""
    return Stores(
        AdoptionEvents(db[EVENTS]),
        AdoptionCounts(db),
        AdoptionTotals(db),
        AdoptionState(db),
        RecountMark(db),
    )


@dataclass(frozen=True, slots=True)
class Bounds:
    """Count up to the slices closed at `now`; hours before `floor` have expired (None: none). The
    clock that says so is `ahead` of that of others."""

    now: datetime
    floor: datetime | None
    ahead: timedelta = timedelta(0)

    @property
    def closed(self) -> datetime:
        """The slices before this are closed."""
        return slice_of(self.now - self.ahead - LATE)


def claim(stores: Stores, fence: int, now: datetime) -> State:
    """The state to go on from; raises Superseded, StoreUnavailable."""
    return stores.state.claim(fence, _beginning(stores, now))


def roll_up(
    stores: Stores, state: State, bounds: Bounds, stopping: Stopping, progress: Progress
) -> State:
    """Bring the counts up to date; ends early, without harm, when `stopping`.

    Every step writes under deterministic `_id`s and marks itself done last: whoever is killed
    leaves a step that is made again with the same result.
    """
    state = _expire(stores, state, bounds, stopping)
    was = state.counted
    state = _count(stores, state, bounds, stopping, progress)
    _count_late(stores, state, was, stopping)
    return _sum(stores, state, stopping)


def reopen(stores: Stores, state: State, since: datetime) -> State:
    """Count again what was stamped from a time on, as far as it is not summed up."""
    back = max(slice_of(since), state.summed)
    return stores.state.advance(state, counted=back) if back < state.counted else state


def rebuild(stores: Stores, bounds: Bounds, stopping: Stopping, progress: Progress) -> State | None:
    """Count every event again beside the counts in use, then use the new ones; None if stopped.

    Reports and counts of other processes go on meanwhile. Raises Superseded when another rebuild
    began later.
    """
    state, in_use = stores.state.begin(_beginning(stores, bounds.now))
    # What rebuilds left behind that were cut off.
    _discard(stores, 0, in_use)
    _discard(stores, in_use + 1, state.generation)
    state = roll_up(stores, state, bounds, stopping, progress)
    if stopping():
        _discard(stores, state.generation, state.generation + 1)
        return None
    stores.state.use(state)
    _discard(stores, 0, state.generation)
    return state


def recount(
    stores: Stores,
    bounds: Bounds,
    stopping: Stopping,
    progress: Progress,
    min_age: timedelta,
) -> bool:
    """Rebuild the counts if events were deleted, `min_age` ago at least; True if that was done.

    Deletions that go on meanwhile have their own mark, and are counted the next time.
    """
    token = stores.mark.token(min_age)
    if token is None or rebuild(stores, bounds, stopping, progress) is None:
        return False
    stores.mark.clear(token)
    return True


def _discard(stores: Stores, start: int, end: int) -> None:
    stores.state.discard(start, end)
    stores.counts.discard(start, end)
    stores.totals.discard(start, end)


def _beginning(stores: Stores, now: datetime) -> datetime:
    return hour_of(min(stores.events.first() or now, now))


def _expire(stores: Stores, state: State, bounds: Bounds, stopping: Stopping) -> State:
    floor = bounds.floor
    if floor is None or floor <= state.since:
        return state
    # Those that are not marked as summed up too: whoever did may have been killed before the mark.
    hours = stores.counts.hours(state.generation, state.since, floor)
    for _, counted in groupby(hours, _day):
        if stopping():
            return state
        stores.totals.drop(state.generation, counted)
    # Before the mark, for whoever is killed in between makes this step again.
    stores.counts.forget(state.generation, floor)
    # After an absence that long, hours may expire before they were ever counted.
    return stores.state.advance(
        state, since=floor, summed=max(floor, state.summed), counted=max(floor, state.counted)
    )


def _count(
    stores: Stores, state: State, bounds: Bounds, stopping: Stopping, progress: Progress
) -> State:
    closed = bounds.closed
    while state.counted < closed and not stopping():
        progress(state.counted)
        # Time without events costs nothing.
        first = stores.events.first(state.counted)
        if first is None or first >= closed:
            return stores.state.advance(state, counted=closed)
        start = slice_of(first)
        end = min(hour_of(start) + _DAY, closed)
        groups = stores.events.count(start, end, "slice")
        stores.counts.write(state.generation, state.fence, groups)
        state = stores.state.advance(state, counted=end)
    return state


def _count_late(stores: Stores, state: State, was: datetime, stopping: Stopping) -> None:
    """Count again the hours that were counted up to `was` as they become an hour old, and before
    they are summed up: whatever came late is in them by then."""
    again = ((hour_of(was) - HOUR, hour_of(state.counted) - HOUR), (state.summed, _whole(state)))
    for start, end in again:
        start, end = max(start, state.summed), min(end, was)  # noqa: PLW2901 - what is left of it
        if start < end and not stopping():
            groups = stores.events.count(start, end, "slice")
            stores.counts.write(state.generation, state.fence, groups)


def _whole(state: State) -> datetime:
    """The hours before this can be summed up."""
    return hour_of(state.counted) - OPEN


def _sum(stores: Stores, state: State, stopping: Stopping) -> State:
    whole = _whole(state)
    if whole <= state.summed:
        return state
    hours = stores.counts.hours(state.generation, state.summed, whole)
    for day, counted in groupby(hours, _day):
        if stopping():
            return state
        stores.totals.add(state.generation, counted)
        done = EPOCH + (day + 1) * _DAY
        if done < whole:
            state = stores.state.advance(state, summed=done)
    return stores.state.advance(state, summed=whole)


def _day(count: HourCount) -> int:
    return (count.hour - EPOCH) // _DAY
