"""Estimate percentiles from counts by upper bound, as every histogram of the program keeps them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

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
