"""Deliveries that have ended: how many of each outcome, and how long they took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from consumer.histograms import Buckets, merged, percentile


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
