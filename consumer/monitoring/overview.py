"""Gather the state of the whole fleet from what its processes wrote to MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.errors import StoreUnavailable
from consumer.mongodb.client import EVENTS, INSTANCES, JOB_RUNS, LEASES, Document
from consumer.mongodb.collection_faults import all_faults
from consumer.mongodb.errors import translated
from consumer.mongodb.health import read_hello
from consumer.mongodb.leases import Leases
from consumer.monitoring.instances import SILENT_AFTER, Instances, clocks_apart
from consumer.monitoring.job_runs import JobRuns

if TYPE_CHECKING:
    from consumer.schemas.registry.registry import SchemaRegistry

# Reason, status, how many, and since when the oldest.
Depth = tuple[str, str, int, datetime]

DATADOG_JOB = "report_datadog"


@dataclass(frozen=True, slots=True)
class Store:
    """The MongoDB that answered; `documents` is estimated from its metadata. `faults` say what is
    wrong with our collections."""

    topology: str
    version: str
    database: str
    documents: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Process:
    """One instance; `silent` is in seconds. `spool`: the last facts of its own."""

    id: str
    host: str
    pid: int
    version: str
    started: datetime
    silent: float
    spool: Document | None

    @property
    def state(self) -> str:
        return "running" if self.silent <= SILENT_AFTER else "silent"


@dataclass(frozen=True, slots=True)
class JobState:
    """The last run of a job, in the fleet or, where each process runs it, in one process.

    `seconds`: how long it took, or has taken so far.
    """

    job: str
    instance: str
    exclusive: bool
    outcome: str
    started: datetime
    seconds: float
    next_due: datetime | None
    holder: str | None
    progress: Document
    result: Document | None
    error: str | None


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """Dead letters of one reason and status; `oldest_age` in seconds."""

    reason: str
    status: str
    count: int
    oldest_age: float


@dataclass(frozen=True, slots=True)
class Datadog:
    """The states of reporting to Datadog that the processes last recorded, each once."""

    last_success: datetime | None
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at one moment, by the clock of MongoDB; `clocks` says which are far from that."""

    at: datetime
    store: Store
    instances: tuple[Process, ...]
    jobs: tuple[JobState, ...]
    dead_letters: tuple[DeadLetterCount, ...]
    datadog: Datadog
    subjects: dict[str, int]
    clocks: tuple[str, ...] = ()


def gather(
    client: MongoClient[Document],
    database: Database[Document],
    registry: SchemaRegistry,
    depths: Callable[[], Iterable[Depth]],
) -> Overview:
    """Read everything; raises StoreUnavailable."""
    with translated("events"):
        hello = client.admin.command("hello")
        reach = read_hello(hello)
        if not reach.ok:
            raise StoreUnavailable(f"{reach.detail}: check MongoDB and `MONGODB_URI`")
        # Commands answer with naive UTC, whatever the client says.
        now = hello["localTime"].replace(tzinfo=timezone.utc)
        store = Store(
            topology=reach.detail,
            version=client.server_info()["version"],
            database=database.name,
            documents=database[EVENTS].estimated_document_count(),
            faults=tuple(all_faults(database)),
        )
    rows = Instances(database[INSTANCES]).all()
    processes = tuple(map(_process, rows))
    runs = JobRuns(database[JOB_RUNS]).last()
    leases = Leases(database[LEASES], "", 1).all()
    return Overview(
        at=now,
        store=store,
        instances=processes,
        jobs=tuple(job_states(runs, leases, {process.id for process in processes}, now)),
        dead_letters=tuple(
            DeadLetterCount(reason, status, count, max(0.0, (now - oldest).total_seconds()))
            for reason, status, count, oldest in sorted(depths())
        ),
        datadog=_datadog(runs),
        subjects=registry.subjects(),
        clocks=tuple(clocks_apart(rows)),
    )


def job_states(
    runs: Iterable[Document], leases: Iterable[Document], instances: set[str], now: datetime
) -> list[JobState]:
    """The last runs, without those in processes that are gone."""
    by_name = {lease["name"]: lease for lease in leases}
    return [
        _job(run, by_name.get(run["job"]) if run["fence"] else None, now)
        for run in runs
        if run["fence"] or run["instance"] in instances
    ]


def _job(run: Document, lease: Document | None, now: datetime) -> JobState:
    outcome, seconds = run["outcome"], float(run["seconds"])
    next_due = run["started_at"] + timedelta(seconds=run["every"])
    holder = None
    if run["fence"]:
        holder = lease.get("holder") if lease else None
        due = lease.get("due_at") if lease else None
        # An interrupted run is taken up as soon as its lease is free.
        next_due = due if due is not None and due > run["started_at"] else None
        if outcome == "running" and (holder is None or (lease or {}).get("fence") != run["fence"]):
            outcome = "unfinished"
    if outcome == "running":
        seconds = max(0.0, (now - run["started_at"]).total_seconds())
    return JobState(
        job=run["job"],
        instance=run["instance"],
        exclusive=bool(run["fence"]),
        outcome=outcome,
        started=run["started_at"],
        seconds=round(seconds, 3),
        next_due=next_due,
        holder=holder,
        progress=run.get("progress") or {},
        result=run.get("result"),
        error=run.get("error"),
    )


def _process(row: Document) -> Process:
    return Process(
        id=row["_id"],
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        started=row["started_at"],
        silent=max(0.0, float(row["silent"])),
        spool=(row.get("facts") or {}).get("spool"),
    )


def _datadog(runs: Iterable[Document]) -> Datadog:
    results = [run.get("result") or {} for run in runs if run["job"] == DATADOG_JOB]
    times = [result["last_success"] for result in results if result.get("last_success")]
    states = dict.fromkeys(str(result["state"]) for result in results if result.get("state"))
    return Datadog(max(times, default=None), tuple(states))
