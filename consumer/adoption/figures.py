"""Turn counts of documents into the figures that say how far schema versions have spread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Beyond so many subjects the tag would cost more than it tells.
BUSIEST = 50
OTHER = "other"


@dataclass(frozen=True, slots=True)
class SubjectFigures:
    """The six figures of one subject (.github/ARCHITECTURE.md#adoption-figures). Rates are percent,
    0 to 100.

    `producer_adoption_rate` is None when no event came in the last hour, `conforming_rate` and
    `unfilled` when they could not be counted in time; the former is of the documents that are not
    unfilled, and None without any. `latest_version` is 0 for the sum of several subjects.
    """

    subject: str
    total: int
    adopted: int
    adoption_rate: float
    producer_adoption_rate: float | None
    conforming_rate: float | None
    latest_version: int
    unfilled: int | None = 0


@dataclass(frozen=True, slots=True)
class SubjectCounts:
    """The counts of one subject: documents, those of the latest version, events of the last
    hour, those of them that exhibit the latest version, and, where None is not known, documents
    that lack a backfill but for those that lack something on purpose, and these."""

    subject: str
    latest_version: int
    total: int
    adopted: int
    recent: int
    recent_latest: int
    backlog: int | None
    unfilled: int | None = 0


def figures(
    counted: Iterable[SubjectCounts], busiest: int | None = BUSIEST
) -> list[SubjectFigures]:
    """The figures of the subjects with the most documents, and of the rest together as `other`
    (`busiest` None: of all).

    Subjects without a document have none. Those with the most documents rather than with the most
    events of late, so that a series does not come and go with the hour.
    """
    counts = sorted(
        (counts for counts in counted if counts.total > 0),
        key=lambda counts: (-counts.total, counts.subject),
    )
    single = counts if busiest is None else counts[:busiest]
    rest = counts[len(single) :]
    return [_figures(each) for each in (*single, *([_sum(rest)] if rest else []))]


def _figures(counts: SubjectCounts) -> SubjectFigures:
    conforming = None
    if counts.backlog is not None and counts.unfilled is not None:
        of = counts.total - counts.unfilled
        # Backfill and ingest go on while we count, so these may be a little ahead.
        conforming = _percent(max(0, of - counts.backlog), of) if of > 0 else None
    return SubjectFigures(
        subject=counts.subject,
        total=counts.total,
        adopted=counts.adopted,
        adoption_rate=_percent(counts.adopted, counts.total),
        producer_adoption_rate=(
            _percent(counts.recent_latest, counts.recent) if counts.recent else None
        ),
        conforming_rate=conforming,
        unfilled=counts.unfilled,
        latest_version=counts.latest_version,
    )


def _sum(counts: list[SubjectCounts]) -> SubjectCounts:
    return SubjectCounts(
        subject=OTHER,
        latest_version=0,
        total=sum(each.total for each in counts),
        adopted=sum(each.adopted for each in counts),
        recent=sum(each.recent for each in counts),
        recent_latest=sum(each.recent_latest for each in counts),
        unfilled=_all(each.unfilled for each in counts),
        backlog=_all(each.backlog for each in counts),
    )


def _all(parts: Iterable[int | None]) -> int | None:
    """The sum, where every part is known."""
    total = 0
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole
