"""Every metric of the program, declared in one table that all readers share: a row each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: a dotted name (Datadog's form), and the tags every value of it carries.

    `fleet` marks a gauge of all processes together: who measured it reports it to Datadog for all.
    `of_delivery` marks what is counted for a delivery: of it the source is told where there are
    several. `observations_of`: a counter of what that histogram observes.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    tags: tuple[str, ...] = ()
    fleet: bool = False
    of_delivery: bool = False
    observations_of: str = ""


DELIVERIES = "cxone.dataaction.deliveries"
UNKNOWN_PATHS = "cxone.dataaction.unknown_paths"
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
VERSION_UNFILLED = "cxone.dataaction.schema_version.unfilled"
READERS_BROKEN = "cxone.dataaction.readers.broken"
SIGNALS = "cxone.dataaction.signals"
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
        DELIVERIES,
        "counter",
        "delivery",
        "Deliveries answered, by how they ended",
        ("outcome",),
        of_delivery=True,
        observations_of=DURATION,
    ),
    Metric(
        UNKNOWN_PATHS,
        "counter",
        "request",
        "Requests to paths that nobody serves, as of scanners or of a wrong address at CXone",
    ),
    Metric(
        REJECTED,
        "counter",
        "delivery",
        "Deliveries that did not become a document, by reason",
        ("reason",),
        of_delivery=True,
    ),
    Metric(
        DURATION,
        "histogram",
        "second",
        "Time from the request's whole body to its answer, by how it ended",
        ("outcome",),
        of_delivery=True,
    ),
    Metric(
        SECRETS,
        "counter",
        "delivery",
        "Verified deliveries, by the secret",
        ("secret",),
        of_delivery=True,
    ),
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
        of_delivery=True,
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
        "Share of documents that have every field up to the newest version that added one, of "
        "those that lack nothing on purpose",
        ("event_type",),
        fleet=True,
    ),
    Metric(
        VERSION_UNFILLED,
        "gauge",
        "document",
        "Documents that lack fields on purpose: refused, beyond the bound, or CXONE_DEFAULTS=none",
        ("event_type",),
        fleet=True,
    ),
    Metric(
        READERS_BROKEN,
        "gauge",
        "field",
        "Fields in which a reader is broken by versions after the one that it is pinned to",
        ("reader", "event_type"),
        fleet=True,
    ),
    Metric(
        SIGNALS,
        "gauge",
        "signal",
        "Open signals that fields vanished or were likely renamed, of a subject and kind",
        ("event_type", "kind"),
        fleet=True,
    ),
    Metric(SPOOLED, "counter", "delivery", "Deliveries put into the spool", of_delivery=True),
    Metric(
        SPOOL_DRAINED,
        "counter",
        "delivery",
        "Deliveries taken out of the spool, by how they ended",
        ("outcome",),
        of_delivery=True,
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
