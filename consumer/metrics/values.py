"""Read what prometheus_client keeps of a row of the table, as values under tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

from consumer.metrics.table import Metric

# What keeps one row.
Part = Counter | Gauge | Histogram
_Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Value:
    """What a metric stands at under one set of tags: a counter's total, a gauge's value, the sum of
    a histogram. Its `buckets` are (upper bound, observations up to it), the last one infinite."""

    metric: Metric
    tags: Mapping[str, str]
    value: float
    buckets: tuple[tuple[float, float], ...] = ()


def values_of(row: Metric, part: Part) -> Iterator[Value]:
    """The values of one row, of which `part` is what is kept."""
    return _distributions(row, part) if isinstance(part, Histogram) else _numbers(row, part)


def _numbers(row: Metric, part: Counter | Gauge) -> Iterator[Value]:
    for family in part.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield Value(row, sample.labels, sample.value)


def _distributions(row: Metric, part: Histogram) -> Iterator[Value]:
    sums: dict[_Tags, float] = {}
    buckets: dict[_Tags, list[tuple[float, float]]] = {}
    for family in part.collect():
        for sample in family.samples:
            tags = tuple((key, text) for key, text in sample.labels.items() if key != "le")
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                buckets.setdefault(tags, []).append((bound, sample.value))
            elif sample.name.endswith("_sum"):
                sums[tags] = sample.value
    for tags, found in buckets.items():
        yield Value(row, dict(tags), sums[tags], tuple(found))
