"""Counts and times of answered deliveries by outcome, with percentiles from histogram buckets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

# Cumulative (upper bound, observations up to it), the last bound infinite.
Buckets = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class OutcomeStats:
    """Deliveries of one outcome (the tag of `cxone.dataaction.deliveries`): how many, the seconds
    they took together, and how many took how long."""

    outcome: str
    count: int
    seconds: float
    buckets: Buckets

    @property
    def mean(self) -> float:
        """In seconds."""
        return self.seconds / self.count if self.count else 0.0

    def percentile(self, share: float) -> float:
        """Estimated from the buckets, in seconds."""
        return percentile(self.buckets, share)


@dataclass(frozen=True, slots=True)
class Period:
    """The answers of one process in the minute or quarter that begins `at`, by outcome; only
    outcomes that occurred."""

    at: datetime
    outcomes: tuple[OutcomeStats, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """The answers of the whole fleet from `at` on, for the step that was asked, by outcome."""

    at: datetime
    outcomes: tuple[OutcomeStats, ...] = ()

    @property
    def count(self) -> int:
        return sum(each.count for each in self.outcomes)

    def percentile(self, share: float) -> float | None:
        """Over all outcomes, in seconds; None where nothing came."""
        buckets = merged(each.buckets for each in self.outcomes)
        return percentile(buckets, share) if buckets else None


def by_outcome(several: Iterable[OutcomeStats]) -> tuple[OutcomeStats, ...]:
    """All together, each outcome once."""
    outcomes: dict[str, list[OutcomeStats]] = {}
    for each in several:
        outcomes.setdefault(each.outcome, []).append(each)
    return tuple(
        OutcomeStats(
            outcome,
            sum(part.count for part in parts),
            sum(part.seconds for part in parts),
            merged(part.buckets for part in parts),
        )
        for outcome, parts in sorted(outcomes.items())
    )


def percentile(buckets: Buckets, share: float) -> float:
    """The value below which `share` of the observations lie: linear inside a bucket, the last
    finite bound when beyond it."""
    wanted = share * buckets[-1][1]
    below, seen = 0.0, 0.0
    for bound, count in buckets[:-1]:
        if count >= wanted:
            inside = count - seen
            return below + (bound - below) * ((wanted - seen) / inside if inside else 1.0)
        below, seen = bound, count
    return below


def increase(now: Buckets, before: Buckets) -> list[tuple[float, float]]:
    """The observations since `before`."""
    earlier: Mapping[float, float] = dict(before)
    return [(bound, count - earlier.get(bound, 0)) for bound, count in now]


def merged(several: Iterable[Buckets]) -> list[tuple[float, float]]:
    """All observations together, also where versions of the program had other bounds."""
    inside: defaultdict[float, float] = defaultdict(float)
    for buckets in several:
        seen = 0.0
        for bound, count in buckets:
            inside[bound] += count - seen
            seen = count
    bounds = sorted(inside)
    return list(zip(bounds, accumulate(inside[bound] for bound in bounds), strict=True))
