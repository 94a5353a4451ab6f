"""Every metric of the program, declared in one table that all readers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: a dotted name (Datadog's form), and the tags every value of it carries.

    `fleet` marks a gauge of all processes together: who measured it tells it to Datadog for all.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    tags: tuple[str, ...] = ()
    fleet: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """What a metric stands at under one set of tags: a counter's total, a gauge's value, the sum of
    a histogram. Its `buckets` are (upper bound, observations up to it), the last one infinite."""

    metric: Metric
    tags: Mapping[str, str]
    value: float
    buckets: tuple[tuple[float, float], ...] = ()


DELIVERIES = "cxone.dataaction.deliveries"
REJECTED = "cxone.dataaction.rejected"
DURATION = "cxone.dataaction.request.duration"
SECRETS = "cxone.dataaction.signature.matched"
REFUSALS_DROPPED = "cxone.dataaction.signature.refusals_dropped"
VERSIONS = "cxone.dataaction.schema.versions_registered"
UNTRACKED = "cxone.dataaction.schema.untracked_events"
BACKFILL_BACKLOG = "cxone.dataaction.backfill.backlog"
BACKFILLED = "cxone.dataaction.backfill.documents"
BACKFILL_FAILED = "cxone.dataaction.backfill.failures"
JOB_RUNS = "cxone.dataaction.job.runs"
JOB_DURATION = "cxone.dataaction.job.duration"
JOB_SUCCESS_AGE = "cxone.dataaction.job.last_success_age"
DEAD_LETTERS = "cxone.dataaction.dead_letters"
DEAD_LETTERS_OLDEST = "cxone.dataaction.dead_letters.oldest_age"
RETRIES = "cxone.dataaction.dead_letters.retries"
VERSION_TOTAL = "cxone.dataaction.schema_version.total"
VERSION_ADOPTED = "cxone.dataaction.schema_version.adopted"
VERSION_ADOPTION_RATE = "cxone.dataaction.schema_version.adoption_rate"
VERSION_PRODUCER_RATE = "cxone.dataaction.schema_version.producer_adoption_rate"
VERSION_CONFORMING_RATE = "cxone.dataaction.schema_version.conforming_rate"
SPOOLED = "cxone.dataaction.spool.spooled"
SPOOL_DRAINED = "cxone.dataaction.spool.drained"
SPOOL_DAMAGED = "cxone.dataaction.spool.damaged"
SPOOL_DEPTH = "cxone.dataaction.spool.depth"
SPOOL_BYTES = "cxone.dataaction.spool.bytes"
SPOOL_OLDEST = "cxone.dataaction.spool.oldest_age"
BUILD = "cxone.dataaction.build"
DATADOG_BUFFER = "cxone.dataaction.datadog.buffer"
DATADOG_DROPPED = "cxone.dataaction.datadog.dropped"
DATADOG_SENT = "cxone.dataaction.datadog.sent"
DATADOG_REQUESTS = "cxone.dataaction.datadog.requests"
DATADOG_LAST_SUCCESS = "cxone.dataaction.datadog.last_success"

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
    Metric(
        BACKFILL_BACKLOG,
        "gauge",
        "document",
        "Documents that lack fields of their subject's newest version, as of the last look",
        fleet=True,
    ),
    Metric(BACKFILLED, "counter", "document", "Documents that this process backfilled"),
    Metric(
        BACKFILL_FAILED,
        "counter",
        "document",
        "Attempts to backfill a document that MongoDB refused",
    ),
    Metric(JOB_RUNS, "counter", "run", "Runs of jobs, by how they ended", ("job", "outcome")),
    Metric(JOB_DURATION, "histogram", "second", "How long runs of a job took", ("job",)),
    Metric(
        JOB_SUCCESS_AGE,
        "gauge",
        "second",
        "Time since a job last succeeded, in whichever process; as of its last attempt here",
        ("job",),
    ),
    Metric(
        DEAD_LETTERS,
        "gauge",
        "entry",
        "Dead letters kept, by reason and status, as of the last sweep",
        ("reason", "status"),
        fleet=True,
    ),
    Metric(
        DEAD_LETTERS_OLDEST,
        "gauge",
        "second",
        "Age of the oldest dead letter that has not ended, as of the last sweep",
        fleet=True,
    ),
    Metric(
        RETRIES,
        "counter",
        "attempt",
        "Dead letters that the sweep tried again, by how they stand after it",
        ("outcome",),
    ),
    Metric(
        VERSION_TOTAL, "gauge", "document", "Documents of a subject", ("event_type",), fleet=True
    ),
    Metric(
        VERSION_ADOPTED,
        "gauge",
        "document",
        "Documents stamped with the latest version of their subject",
        ("event_type",),
        fleet=True,
    ),
    Metric(
        VERSION_ADOPTION_RATE,
        "gauge",
        "percent",
        "Share of documents stamped with the latest version",
        ("event_type",),
        fleet=True,
    ),
    Metric(
        VERSION_PRODUCER_RATE,
        "gauge",
        "percent",
        "Share of the last hour's events whose payload itself exhibits the latest version",
        ("event_type",),
        fleet=True,
    ),
    Metric(
        VERSION_CONFORMING_RATE,
        "gauge",
        "percent",
        "Share of documents that have every field up to the newest version that added one",
        ("event_type",),
        fleet=True,
    ),
    Metric(SPOOLED, "counter", "delivery", "Deliveries put into the spool"),
    Metric(
        SPOOL_DRAINED,
        "counter",
        "delivery",
        "Deliveries taken out of the spool, by how they ended",
        ("outcome",),
    ),
    Metric(SPOOL_DAMAGED, "counter", "record", "Damaged records of the spool that were set aside"),
    Metric(SPOOL_DEPTH, "gauge", "delivery", "Deliveries that wait in the spool"),
    Metric(SPOOL_BYTES, "gauge", "byte", "Disk space that the spool takes"),
    Metric(SPOOL_OLDEST, "gauge", "second", "How long the oldest delivery has been in the spool"),
    Metric(BUILD, "gauge", "1", "Always 1; the version is in the tag", ("version",)),
    Metric(DATADOG_BUFFER, "gauge", "point", "Points that wait for Datadog"),
    Metric(
        DATADOG_DROPPED, "counter", "point", "Points that Datadog never got, by reason", ("reason",)
    ),
    Metric(DATADOG_SENT, "counter", "point", "Points that Datadog accepted"),
    Metric(
        DATADOG_REQUESTS,
        "counter",
        "request",
        "Requests to Datadog, by what their answer meant",
        ("outcome",),
    ),
    Metric(
        DATADOG_LAST_SUCCESS,
        "gauge",
        "second",
        "When Datadog last accepted something, in Unix time",
    ),
)

# Seconds. Senders give up after one; the first answers take well under a millisecond.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The values of the metrics in `table`; a name or tag that is not declared raises KeyError or
    ValueError, for it is a fault of ours."""

    def __init__(self, table: Iterable[Metric] = TABLE) -> None:
        self._table = tuple(table)
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._told: set[str] = set()
        self._histograms: dict[str, Histogram] = {}
        # By name and tags as passed: looking a value up by its tags costs more than counting.
        self._counted: dict[tuple[object, ...], Counter] = {}
        self._observed: dict[tuple[object, ...], Histogram] = {}
        for row in self._table:
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
        key = (name, *tags.items())
        counter = self._counted.get(key)
        if counter is None:
            family = self._counters[name]
            counter = self._counted[key] = family.labels(**tags) if tags else family
        counter.inc(amount)

    def set(self, name: str, value: float, **tags: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        self._told.add(name)
        (gauge.labels(**tags) if tags else gauge).set(value)

    def replace(self, name: str, values: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """Set a gauge under these tags, and forget it under all others."""
        gauge, row = self._gauges[name], next(row for row in self._table if row.name == name)
        self._told.add(name)
        kept = set()
        for tags, value in values:
            gauge.labels(**tags).set(value)
            kept.add(tuple(tags[tag] for tag in row.tags))
        for family in gauge.collect():
            for sample in family.samples:
                known = tuple(sample.labels[tag] for tag in row.tags)
                if known not in kept:
                    gauge.remove(*known)

    def observe(self, name: str, seconds: float, **tags: str) -> None:
        """Add an observation to a histogram."""
        key = (name, *tags.items())
        histogram = self._observed.get(key)
        if histogram is None:
            family = self._histograms[name]
            histogram = self._observed[key] = family.labels(**tags) if tags else family
        histogram.observe(seconds)

    def render(self) -> bytes:
        """All values in the Prometheus text format."""
        return generate_latest(self._registry)

    @property
    def table(self) -> tuple[Metric, ...]:
        return self._table

    def take_told(self) -> frozenset[str]:
        """The gauges that were set since the last call."""
        told, self._told = self._told, set()
        return frozenset(told)

    def snapshot(self) -> list[Value]:
        """All values, in the order of the table: the same that `render` shows."""
        return [value for row in self._table for value in self._values(row)]

    def values(self, name: str) -> list[Value]:
        """The values of one metric."""
        return list(self._values({row.name: row for row in self._table}[name]))

    def _values(self, row: Metric) -> Iterator[Value]:
        if row.kind == "histogram":
            yield from _histogram(row, self._histograms[row.name])
            return
        parts = self._counters if row.kind == "counter" else self._gauges
        for family in parts[row.name].collect():
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    yield Value(row, sample.labels, sample.value)


def _histogram(row: Metric, histogram: Histogram) -> Iterator[Value]:
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for family in histogram.collect():
        for sample in family.samples:
            tags = tuple((key, text) for key, text in sample.labels.items() if key != "le")
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                buckets.setdefault(tags, []).append((bound, sample.value))
            elif sample.name.endswith("_sum"):
                sums[tags] = sample.value
    for tags, found in buckets.items():
        yield Value(row, dict(tags), sums[tags], tuple(found))
