"""Record each run of each job, for as long as it is of interest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pymongo
from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated

# `lost`: the lease went to another process, or MongoDB did not renew it. `unfinished`: its process
# was killed, or MongoDB was away when it ended.
RunOutcome = Literal["running", "succeeded", "failed", "stopped", "lost", "unfinished"]

# About this many runs of each job are kept, and between an hour and a month of them (seconds).
_RUNS_KEPT = 1000
_MIN_KEPT, _MAX_KEPT = 3600.0, 30 * 86_400.0
# Losing a record in a failover is worth less than waiting for a majority at each run.
_SOON = WriteConcern(w=1)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. `elapsed` and `every` in seconds; `fence` 0 where every process runs the job."""

    id: str
    job: str
    instance: str
    fence: int
    every: float
    elapsed: float
    outcome: RunOutcome
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    error: str | None = None

    @property
    def series(self) -> str:
        """The runs that follow each other: those of the job, or of the job in one process."""
        return self.job if self.fence else f"{self.job}@{self.instance}"


class JobRuns:
    """The `job_runs` collection, dated by the server's clock. Methods raise StoreUnavailable."""

    def __init__(self, collection: Collection[Document], timeout: float = 1.0) -> None:
        # What is not awaited in writing must not be hidden in reading.
        self._runs = collection.with_options(write_concern=_SOON, read_concern=ReadConcern("local"))
        self._timeout = timeout

    def save(self, record: RunRecord) -> None:
        """Insert the run, or bring it up to date; waits a bounded time."""
        started = {"$subtract": ["$$NOW", int(record.elapsed * 1000)]}
        kept = min(max(record.every * _RUNS_KEPT, _MIN_KEPT), _MAX_KEPT)
        facts = {
            "job": record.job,
            "series": record.series,
            "instance": record.instance,
            "fence": record.fence,
            "every": record.every,
            "seconds": round(record.elapsed, 3),
            "outcome": record.outcome,
            "progress": dict(record.progress),
            "result": None if record.result is None else dict(record.result),
            "error": record.error,
        }
        update: list[Document] = [
            {
                "$set": {
                    # A literal, because a result may hold what looks like an expression.
                    **{name: {"$literal": value} for name, value in facts.items()},
                    "started_at": {"$ifNull": ["$started_at", started]},
                    "ended_at": None if record.outcome == "running" else "$$NOW",
                    "expires_at": {"$add": ["$$NOW", int(kept * 1000)]},
                }
            }
        ]
        with pymongo.timeout(self._timeout), translated("job_runs"):
            try:
                self._runs.update_one({"_id": record.id}, update, upsert=True)
            except DuplicateKeyError:
                self._runs.update_one({"_id": record.id}, update, upsert=True)

    def close_earlier(self, record: RunRecord) -> None:
        """Mark runs of the same job under a lower fence that never reported their end."""
        earlier = {
            "series": record.series,
            "outcome": "running",
            "fence": {"$lt": record.fence},
        }
        with pymongo.timeout(self._timeout), translated("job_runs"):
            self._runs.update_many(
                earlier, [{"$set": {"outcome": "unfinished", "ended_at": "$$NOW"}}]
            )

    def last(self) -> list[Document]:
        """The last run of every series, by job and instance; reads one index entry a series."""
        pipeline: list[Document] = [
            {"$match": {"series": {"$gte": ""}}},
            {"$sort": {"series": 1, "started_at": DESCENDING}},
            {"$group": {"_id": "$series", "run": {"$first": "$$ROOT"}}},
            {"$replaceRoot": {"newRoot": "$run"}},
            {"$sort": {"job": 1, "instance": 1}},
        ]
        with translated("job_runs"):
            return list(self._runs.aggregate(pipeline))

    def history(self, series: str, limit: int = 20) -> list[Document]:
        """The runs of a series, the last one first."""
        with translated("job_runs"):
            found = self._runs.find({"series": series}).sort("started_at", DESCENDING)
            return list(found.limit(limit))

    def last_success(self, job: str) -> Document | None:
        """The last run of an exclusive job that succeeded, as far as runs are kept."""
        with translated("job_runs"):
            return self._runs.find_one(
                {"series": job, "outcome": "succeeded"}, sort=[("started_at", DESCENDING)]
            )
