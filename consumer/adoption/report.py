"""Report how far each schema version has spread: the counts and the events since, as of a moment.

Nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from consumer.adoption.counts import NOTHING
from consumer.adoption.figures import BUSIEST, SubjectCounts, SubjectFigures, figures
from consumer.adoption.rollup import Bounds, Stores
from consumer.adoption.state import State
from consumer.core.clock import EPOCH, HOUR, hour_of, next_slice
from consumer.core.errors import StoreUnavailable
from consumer.schemas.model import SchemaVersion

# Readings of one report, where roll-ups go on meanwhile.
_ATTEMPTS = 10


class Heads(Protocol):
    """The methods of the schema registry that a report calls."""

    def subjects(self) -> dict[str, int]: ...
    def head(self, subject: str) -> SchemaVersion | None: ...
    def refreshed(self, subject: str) -> SchemaVersion | None: ...


@dataclass(frozen=True, slots=True)
class Report:
    """The figures `at` a time; `versions`: documents by subject and version; `hours`: events by
    hour, subject and exhibited version, as far back as was asked."""

    at: datetime
    figures: list[SubjectFigures]
    versions: Mapping[str, Mapping[int, int]]
    hours: Mapping[tuple[datetime, str, int], int]


def report(
    stores: Stores,
    heads: Heads,
    bounds: Bounds,
    history: timedelta = HOUR,
    busiest: int | None = BUSIEST,
) -> Report:
    """Count what came since the last roll-up and join it to what is counted; writes nothing.

    Raises StoreUnavailable.
    """
    tally = read_tally(stores, bounds, history)
    # Read after the events, so that no document is stamped with a version that is not known.
    latest = heads.subjects()
    counts = []
    for subject, versions in tally.documents.items():
        stamped = [version for version, count in versions.items() if count]
        if stamped:
            newest = max(latest.get(subject, 0), *stamped)
            head = _head(heads, subject, newest)
            fillable = head.newest_fillable if head else 0
            since = bounds.floor or EPOCH
            unfilled = stores.events.unfilled(subject, fillable, since)
            backlog = stores.events.backlog(subject, fillable, since)
            # A version that people made adds nothing that a payload could show.
            visible = head.newest_added if head else newest
            counts.append(_counts(tally, subject, (newest, visible), unfilled, backlog))
    return Report(
        bounds.now,
        figures(counts, busiest),
        {subject: _present(of) for subject, of in sorted(tally.documents.items())},
        {key: tally.hourly[key] for key in sorted(tally.hourly)},
    )


def only(report: Report, subject: str) -> Report:
    """The part of the report about one subject."""
    return Report(
        report.at,
        [each for each in report.figures if each.subject == subject],
        {name: each for name, each in report.versions.items() if name == subject},
        {key: count for key, count in report.hours.items() if key[1] == subject},
    )


def _counts(
    tally: Tally,
    subject: str,
    newest: tuple[int, int],
    unfilled: tuple[int, int] | None,
    backlog: int | None,
) -> SubjectCounts:
    latest, visible = newest
    known = unfilled is not None and backlog is not None
    on_purpose, of_these_behind = unfilled or (0, 0)
    documents, recent = tally.documents[subject], tally.recent[subject]
    return SubjectCounts(
        subject=subject,
        latest_version=latest,
        total=sum(documents.values()),
        adopted=documents.get(latest, 0),
        recent=sum(recent.values()),
        recent_latest=recent.get(visible, 0),
        unfilled=on_purpose if unfilled is not None else None,
        backlog=max(0, (backlog or 0) - of_these_behind) if known else None,
    )


def _present(versions: Mapping[int, int]) -> dict[int, int]:
    return {version: count for version, count in sorted(versions.items()) if count}


def _head(heads: Heads, subject: str, number: int) -> SchemaVersion | None:
    """The newest version, at least that one as far as it exists."""
    head = heads.head(subject)
    return heads.refreshed(subject) if head is None or head.number < number else head


@dataclass(slots=True)
class Tally:
    """Counts of one moment: documents by subject and version, events of the last hour by subject
    and exhibited version, and events by hour, subject and exhibited version."""

    documents: defaultdict[str, defaultdict[int, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    recent: defaultdict[str, defaultdict[int, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    hourly: defaultdict[tuple[datetime, str, int], int] = field(
        default_factory=lambda: defaultdict(int)
    )


def read_tally(stores: Stores, bounds: Bounds, history: timedelta) -> Tally:
    """A tally of one moment: made again when a roll-up went on while it was read.

    Hours are given one by one as far back as `history`, an hour at least. Raises StoreUnavailable.
    """
    for _ in range(_ATTEMPTS):
        before = stores.state.current()
        tally = _tally(stores, before, bounds, history)
        after = stores.state.current()
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


def _tally(stores: Stores, state: State | None, bounds: Bounds, history: timedelta) -> Tally:
    tally = Tally()
    counted, hour_ago = bounds.floor or EPOCH, bounds.now - HOUR
    back = hour_of(bounds.now - max(history, HOUR))
    if state is not None:
        counted = max(counted, state.counted)
        _add_counts(tally, stores, state, bounds, back)
    older = stores.events.count(counted, hour_ago, "hour") if counted < hour_ago else []
    newer = stores.events.count(max(counted, hour_ago), None, "hour")
    for group in (*older, *newer):
        tally.documents[group.subject][group.version] += group.count
        if group.at >= back:
            tally.hourly[group.at, group.subject, group.exhibited] += group.count
    if hour_ago < counted:
        # The slice in which the last hour begins counts in part only.
        newer += stores.events.count(hour_ago, min(next_slice(hour_ago), counted), "hour")
    for group in newer:
        tally.recent[group.subject][group.exhibited] += group.count
    return tally


def _add_counts(tally: Tally, stores: Stores, state: State, bounds: Bounds, back: datetime) -> None:
    """Add what is counted; `back`: the first hour that is wanted by itself."""
    floor = bounds.floor or EPOCH
    # Read before the hours: a sum says itself up to which hour it goes.
    totals = stores.totals.all(state.generation)
    for (subject, version), total in totals.items():
        tally.documents[subject][version] += total.count
    for hour in stores.counts.hours(state.generation, state.since, floor):
        total = totals.get((hour.subject, hour.version), NOTHING)
        if total.dropped < hour.hour <= total.added:
            tally.documents[hour.subject][hour.version] -= sum(hour.slices.values())
    recent = next_slice(bounds.now - HOUR)
    start = max(min(state.summed, back), floor)
    for hour in stores.counts.hours(state.generation, start, None):
        slices = {at: count for at, count in hour.slices.items() if at < state.counted}
        count = sum(slices.values())
        if hour.hour > totals.get((hour.subject, hour.version), NOTHING).added:
            tally.documents[hour.subject][hour.version] += count
        if count and hour.hour >= back:
            tally.hourly[hour.hour, hour.subject, hour.exhibited] += count
        tally.recent[hour.subject][hour.exhibited] += sum(
            count for at, count in slices.items() if at >= recent
        )
