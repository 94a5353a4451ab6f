"""Deliveries that have ended: how many of each outcome, and how long they took.

Estimate percentiles from counts by upper bound, as every histogram of the program keeps them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Ended:
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
    """What one process answered in the minute or quarter that begins `at`; only outcomes that
    occurred."""

    at: datetime
    ended: tuple[Ended, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """What the whole fleet answered from `at` on for the step of the reading, by outcome."""

    at: datetime
    ended: tuple[Ended, ...] = ()

    @property
    def count(self) -> int:
        return sum(each.count for each in self.ended)

    def percentile(self, share: float) -> float | None:
        """Over all outcomes, in seconds; None where nothing came."""
        buckets = merged(each.buckets for each in self.ended)
        return percentile(buckets, share) if buckets else None


def by_outcome(several: Iterable[Ended]) -> tuple[Ended, ...]:
    """All together, each outcome once."""
    outcomes: dict[str, list[Ended]] = {}
    for each in several:
        outcomes.setdefault(each.outcome, []).append(each)
    return tuple(
        Ended(
            outcome,
            sum(part.count for part in parts),
            sum(part.seconds for part in parts),
            merged(part.buckets for part in parts),
        )
        for outcome, parts in sorted(outcomes.items())
    )


# Cumulative (upper bound, observations up to it), the last bound infinite.
Buckets = Sequence[tuple[float, float]]


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
    """What was observed since `before`."""
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
