"""Turn the metrics of this process into points under Datadog's rules, which its client ignores."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from consumer.core.metrics import SOURCE, Value
from consumer.monitoring.outcomes import increase, percentile

Kind = Literal["count", "gauge"]

# https://docs.datadoghq.com/metrics/custom_metrics/#naming-custom-metrics
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,199}")
# https://docs.datadoghq.com/getting_started/tagging/#define-tags: anything else becomes "_".
_ODD = re.compile(r"[^\w:./-]+")
_UNDERSCORES = re.compile(r"__+")
_TAG_CHARACTERS = 200
# A point is refused when it is an hour old; one minute is left for the way.
OLDEST = 3600 - 60
# Ten minutes ahead is the published limit.
AHEAD = 600 - 60
# The host goes into the resources: as a tag it would be another, wrong, host.
_RESERVED = ("host", "device", "source")
# Ours of a reserved name, so that series do not become one.
_RENAMED = {SOURCE: f"cxone_{SOURCE}"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A value before it is frozen; `tags` by key, their text from anywhere. `fleet`: of all
    processes together."""

    name: str
    kind: Kind
    value: float
    tags: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    fleet: bool = False


@dataclass(frozen=True, slots=True)
class Common:
    """Fields that every point of a reporter carries; `interval` is in seconds, between reports."""

    tags: tuple[str, ...]
    host: str
    interval: int


@dataclass(frozen=True, slots=True)
class Series:
    """Fields that points of one graph share."""

    name: str
    kind: Kind
    tags: tuple[str, ...]
    host: str
    unit: str | None
    interval: int


@dataclass(frozen=True, slots=True)
class Point:
    """A value that will never change again: sent twice, it is the same point (Unix seconds)."""

    series: Series
    second: int
    value: float


def freeze(
    readings: Iterable[Reading], common: Common, second: int
) -> tuple[list[Point], Counter[str]]:
    """The points of valid readings, and how many were dropped by reason: `name`, `value`,
    `duplicate` (two readings whose tags are the same after Datadog's spelling)."""
    points: dict[Series, Point] = {}
    dropped: Counter[str] = Counter()
    for reading in readings:
        if not _NAME.fullmatch(reading.name):
            dropped["name"] += 1
        elif not math.isfinite(reading.value):
            dropped["value"] += 1
        else:
            own = (f"{_RENAMED.get(key, key)}:{text}" for key, text in reading.tags.items())
            series = Series(
                name=reading.name,
                kind=reading.kind,
                tags=tags((*own, *common.tags)),
                host=common.host,
                unit=reading.unit,
                interval=common.interval,
            )
            if series in points:
                dropped["duplicate"] += 1
            points.setdefault(series, Point(series, second, float(reading.value)))
    return list(points.values()), dropped


def tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Tags as Datadog spells them, sorted, each once; reserved keys and empty ones left out."""
    found = {tag(text) for text in texts}
    return tuple(sorted(t for t in found if t and t.partition(":")[0] not in _RESERVED))


def tag(text: str) -> str:
    """One tag in Datadog's spelling; "" when nothing of it is left.

    Cutting would make one tag of two that differ at their ends, so a long one ends in a digest.
    """
    spelled = _spelled(text.lower())
    if len(spelled) <= _TAG_CHARACTERS:
        return spelled
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{spelled[: _TAG_CHARACTERS - 13].rstrip('_:')}_{digest}"


def _spelled(text: str) -> str:
    plain = _UNDERSCORES.sub("_", _ODD.sub("_", text))
    start = next((at for at, character in enumerate(plain) if character.isalpha()), len(plain))
    return plain[start:].rstrip("_:")


# Datadog's own words of what is in the table; it knows no others of them.
_UNITS = {"second", "percent", "byte", "event", "document"}
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

_Key = tuple[str, tuple[tuple[str, str], ...]]


class MetricDeltas:
    """Changes of metrics since the last call.

    Counters go out as counts of the time between two reports, not as totals: their sum is right
    over any span, hosts and restarts, and a count sent twice replaces itself. The intake takes no
    histograms, so of one go its count, average and percentiles, from the buckets of /metrics.
    """

    def __init__(self) -> None:
        self._last: dict[_Key, Value] = {}

    def readings(self, values: Iterable[Value], fleet: Collection[str]) -> list[Reading]:
        """The readings of a snapshot. Of the fleet's rows those named in `fleet` alone: what was
        measured since the last call, for an older value may be another process's by now."""
        return [
            reading
            for value in values
            if not value.metric.fleet or value.metric.name in fleet
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
