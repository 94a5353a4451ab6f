"""Say how far each schema version has spread, from what is counted and the events since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from consumer.adoption import BUSIEST, SubjectCounts, SubjectFigures, figures
from consumer.schema.model import SchemaVersion
from consumer.timegrid import EPOCH, HOUR
from jobs.adoption_rollup import Bounds, Ledger
from jobs.adoption_tally import Tally, take


class Heads(Protocol):
    """What is asked of the schema registry."""

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
    book: Ledger,
    heads: Heads,
    bounds: Bounds,
    history: timedelta = HOUR,
    busiest: int | None = BUSIEST,
) -> Report:
    """Count what came since the last roll-up and join it to what is counted; writes nothing.

    Raises StoreUnavailable.
    """
    tally = take(book, bounds, history)
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
            unfilled = book.events.unfilled(subject, fillable, since)
            backlog = book.events.backlog(subject, fillable, since)
            # A version that people made adds nothing that a payload could show.
            shown = head.newest_added if head else newest
            counts.append(_counts(tally, subject, (newest, shown), unfilled, backlog))
    return Report(
        bounds.now,
        figures(counts, busiest),
        {subject: _present(of) for subject, of in sorted(tally.documents.items())},
        {key: tally.hourly[key] for key in sorted(tally.hourly)},
    )


def only(report: Report, subject: str) -> Report:
    """What the report says of one subject."""
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
    latest, shown = newest
    known = unfilled is not None and backlog is not None
    on_purpose, of_these_behind = unfilled or (0, 0)
    documents, recent = tally.documents[subject], tally.recent[subject]
    return SubjectCounts(
        subject=subject,
        latest_version=latest,
        total=sum(documents.values()),
        adopted=documents.get(latest, 0),
        recent=sum(recent.values()),
        recent_latest=recent.get(shown, 0),
        unfilled=on_purpose if unfilled is not None else None,
        backlog=max(0, (backlog or 0) - of_these_behind) if known else None,
    )


def _present(versions: Mapping[int, int]) -> dict[int, int]:
    return {version: count for version, count in sorted(versions.items()) if count}


def _head(heads: Heads, subject: str, number: int) -> SchemaVersion | None:
    """The newest version, at least that one as far as it exists."""
    head = heads.head(subject)
    return heads.refreshed(subject) if head is None or head.number < number else head
