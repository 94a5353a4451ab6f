"""Count and measure what the table declares; read the values back, for `/metrics` and Datadog."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from consumer.core.delivery import MAIN
from consumer.core.metrics_table import TABLE, Metric

# Seconds. Senders give up after one; the first answers take well under a millisecond.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# The tag of deliveries by their source, and its value for one that is not in the settings now.
SOURCE = "source"
_REMOVED = "removed"

_Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A metric under one set of tags: a counter's total, a gauge's value, the sum of a histogram.
    Its `buckets` are (upper bound, observations up to it), the last one infinite."""

    metric: Metric
    tags: Mapping[str, str]
    value: float
    buckets: tuple[tuple[float, float], ...] = ()


class Metrics:
    """The values of the metrics in `table`; a name or tag that is not declared raises KeyError or
    ValueError, for it is a fault of ours.

    `sources` are those beside the main one: without any, no value tells a source.
    """

    def __init__(self, table: Iterable[Metric] = TABLE, sources: Collection[str] = ()) -> None:
        self._sources = frozenset((MAIN, *sources)) if sources else frozenset()
        self._rows = {row.name: self._told(row) for row in table}
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._observations: dict[str, _Observations] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges_set: set[str] = set()
        # By name and tags as passed: looking a value up by its tags costs more than counting.
        self._counter = cache(self._find_counter)
        self._histogram = cache(self._find_histogram)
        for row in self._rows.values():
            self._declare(row, row.name.replace(".", "_"))
        # What has no other tag is 0 from the start, as it is where no value tells a source.
        for source in self._sources:
            for row in self._rows.values():
                if row.tags == (SOURCE,):
                    self.count(row.name, 0, source)

    def _told(self, row: Metric) -> Metric:
        told = row.of_delivery and self._sources
        return replace(row, tags=(*row.tags, SOURCE)) if told else row

    def _tags(self, name: str, tags: dict[str, str], source: str) -> dict[str, str]:
        """All tags of a value; the sources among them are those of the settings and one more."""
        if SOURCE in self._rows[name].tags:
            tags[SOURCE] = source if source in self._sources else _REMOVED
        return tags

    def _declare(self, row: Metric, name: str) -> None:
        registry = self._registry
        if row.observations_of:
            self._observations[row.name] = _Observations(name, row, self._histograms)
            registry.register(self._observations[row.name])
        elif row.kind == "counter":
            self._counters[row.name] = Counter(name, row.help, row.tags, registry=registry)
        elif row.kind == "gauge":
            self._gauges[row.name] = Gauge(name, row.help, row.tags, registry=registry)
        else:
            self._histograms[row.name] = Histogram(
                f"{name}_seconds", row.help, row.tags, registry=registry, buckets=_BUCKETS
            )

    def count(self, name: str, amount: float = 1, source: str = MAIN, **tags: str) -> None:
        """Add to a counter."""
        self._counter(name, source, **tags).inc(amount)

    def _find_counter(self, name: str, source: str, **tags: str) -> Counter:
        family, tags = self._counters[name], self._tags(name, tags, source)
        return family.labels(**tags) if tags else family

    def set(self, name: str, value: float, **tags: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        self._gauges_set.add(name)
        (gauge.labels(**tags) if tags else gauge).set(value)

    def replace(self, name: str, values: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """Set a gauge under these tags, and forget it under all others."""
        gauge, row = self._gauges[name], self._rows[name]
        self._gauges_set.add(name)
        kept = set()
        for tags, value in values:
            gauge.labels(**tags).set(value)
            kept.add(tuple(tags[tag] for tag in row.tags))
        for family in gauge.collect():
            for sample in family.samples:
                known = tuple(sample.labels[tag] for tag in row.tags)
                if known not in kept:
                    gauge.remove(*known)

    def observe(self, name: str, seconds: float, source: str = MAIN, **tags: str) -> None:
        """Add an observation to a histogram."""
        self._histogram(name, source, **tags).observe(seconds)

    def _find_histogram(self, name: str, source: str, **tags: str) -> Histogram:
        family, tags = self._histograms[name], self._tags(name, tags, source)
        return family.labels(**tags) if tags else family

    def render(self) -> bytes:
        """All values in the Prometheus text format."""
        return generate_latest(self._registry)

    def take_gauges_set(self) -> frozenset[str]:
        """The gauges that were set since the last call."""
        taken, self._gauges_set = self._gauges_set, set()
        return frozenset(taken)

    def snapshot(self) -> list[Value]:
        """All values, in the order of the table: the same that `render` shows."""
        return [value for name in self._rows for value in self.values(name)]

    def values(self, name: str) -> list[Value]:
        """The values of one metric."""
        row = self._rows[name]
        if row.kind == "histogram":
            return list(_distributions(row, self._histograms[name]))
        if row.observations_of:
            return list(_numbers(row, self._observations[name]))
        family = self._counters[name] if row.kind == "counter" else self._gauges[name]
        return list(_numbers(row, family))


class _Observations(Collector):
    """The counter of what a histogram observes, so that nothing is counted in two places."""

    def __init__(self, name: str, row: Metric, histograms: Mapping[str, Histogram]) -> None:
        self._name = name
        self._row = row
        self._histograms = histograms

    def collect(self) -> Iterator[CounterMetricFamily]:
        counter = CounterMetricFamily(self._name, self._row.help, labels=self._row.tags)
        for family in self._histograms[self._row.observations_of].collect():
            counts: dict[tuple[str, ...], dict[str, float]] = {}
            for sample in family.samples:
                tags = tuple(sample.labels[tag] for tag in self._row.tags)
                counts.setdefault(tags, {})[sample.name.removeprefix(family.name)] = sample.value
            for tags, of in counts.items():
                counter.add_metric(tags, of["_count"], of.get("_created"))
        yield counter


def _numbers(row: Metric, collector: Collector) -> Iterator[Value]:
    for family in collector.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield Value(row, sample.labels, sample.value)


def _distributions(row: Metric, collector: Histogram) -> Iterator[Value]:
    sums: dict[_Tags, float] = {}
    buckets: dict[_Tags, list[tuple[float, float]]] = {}
    for family in collector.collect():
        for sample in family.samples:
            tags = tuple((key, text) for key, text in sample.labels.items() if key != "le")
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                buckets.setdefault(tags, []).append((bound, sample.value))
            elif sample.name.endswith("_sum"):
                sums[tags] = sample.value
    for tags, found in buckets.items():
        yield Value(row, dict(tags), sums[tags], tuple(found))
