"""Every metric of the program, declared in one table that all readers share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: a dotted name (Datadog's form), and the tags every value of it carries."""

    name: str
    kind: Kind
    unit: str
    help: str
    tags: tuple[str, ...] = ()


DELIVERIES = "cxone.dataaction.deliveries"
REJECTED = "cxone.dataaction.rejected"
DURATION = "cxone.dataaction.request.duration"
SECRETS = "cxone.dataaction.signature.matched"
REFUSALS_DROPPED = "cxone.dataaction.signature.refusals_dropped"
VERSIONS = "cxone.dataaction.schema.versions_registered"
UNTRACKED = "cxone.dataaction.schema.untracked_events"
BUILD = "cxone.dataaction.build"

TABLE = (
    Metric(
        DELIVERIES, "counter", "delivery", "Deliveries answered, by how they ended", ("outcome",)
    ),
    Metric(
        REJECTED,
        "counter",
        "delivery",
        "Deliveries that did not become a document, by reason",
        ("reason",),
    ),
    Metric(
        DURATION,
        "histogram",
        "second",
        "Time from the request's whole body to its answer, by how it ended",
        ("outcome",),
    ),
    Metric(SECRETS, "counter", "delivery", "Verified deliveries, by the secret", ("secret",)),
    Metric(
        REFUSALS_DROPPED,
        "counter",
        "delivery",
        "Deliveries refused for their signature that were not kept, by the bound that was met",
        ("bound",),
    ),
    Metric(VERSIONS, "counter", "version", "Schema versions that this process registered"),
    Metric(
        UNTRACKED,
        "counter",
        "event",
        "Events stored with fields that a guard kept out of the schema, by guard",
        ("guard",),
    ),
    Metric(BUILD, "gauge", "1", "Always 1; the version is in the tag", ("version",)),
)

# Seconds. Senders give up after one; the first answers take well under a millisecond.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The values of the metrics in `table`; a name or tag that is not declared raises KeyError or
    ValueError, for it is a fault of ours."""

    def __init__(self, table: Iterable[Metric] = TABLE) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for row in table:
            name = row.name.replace(".", "_")
            if row.kind == "counter":
                self._counters[row.name] = Counter(
                    name, row.help, row.tags, registry=self._registry
                )
            elif row.kind == "gauge":
                self._gauges[row.name] = Gauge(name, row.help, row.tags, registry=self._registry)
            else:
                self._histograms[row.name] = Histogram(
                    f"{name}_seconds", row.help, row.tags, registry=self._registry, buckets=_BUCKETS
                )

    def count(self, name: str, amount: float = 1, **tags: str) -> None:
        """Add to a counter."""
        counter = self._counters[name]
        (counter.labels(**tags) if tags else counter).inc(amount)

    def set(self, name: str, value: float, **tags: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(**tags) if tags else gauge).set(value)

    def observe(self, name: str, seconds: float, **tags: str) -> None:
        """Add an observation to a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(**tags) if tags else histogram).observe(seconds)

    def render(self) -> bytes:
        """All values in the Prometheus text format."""
        return generate_latest(self._registry)
