"""Turn the metrics of this process into readings for Datadog."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from consumer.datadog.points import Reading
from consumer.histograms import increase, percentile
from consumer.metrics.values import Value

# Datadog's own words of what is in the table; it knows no others of them.
_UNITS = {"second", "percent", "byte", "event", "document"}
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

_Key = tuple[str, tuple[tuple[str, str], ...]]


class Changes:
    """What happened since the last look.

    Counters go out as counts of the time between two reports, not as totals: their sum is right
    over any span, hosts and restarts, and a count sent twice replaces itself. The intake takes no
    histograms, so of one go its count, average and percentiles, from the buckets of /metrics.
    """

    def __init__(self) -> None:
        self._last: dict[_Key, Value] = {}

    def readings(self, values: Iterable[Value], told: Collection[str]) -> list[Reading]:
        """The readings of a snapshot. Of the fleet's rows those named in `told` alone: what was
        measured since the last look, for an older value may be another process's by now."""
        return [
            reading
            for value in values
            if not value.metric.fleet or value.metric.name in told
            for reading in self._of(value)
        ]

    def _of(self, value: Value) -> Iterator[Reading]:
        metric, tags = value.metric, value.tags
        unit = metric.unit if metric.unit in _UNITS else None
        if metric.kind == "gauge":
            yield Reading(metric.name, "gauge", value.value, tags, unit, metric.fleet)
            return
        key = (metric.name, tuple(sorted(tags.items())))
        last = self._last.get(key)
        self._last[key] = value
        grown = value.value - (last.value if last else 0)
        if metric.kind == "counter":
            yield Reading(metric.name, "count", grown, tags, unit)
            return
        buckets = increase(value.buckets, last.buckets if last else ())
        count = buckets[-1][1]
        yield Reading(f"{metric.name}.count", "count", count, tags)
        if count:
            yield Reading(f"{metric.name}.avg", "gauge", grown / count, tags, unit)
            for name, share in PERCENTILES.items():
                found = percentile(buckets, share)
                yield Reading(f"{metric.name}.{name}", "gauge", found, tags, unit)
