"""Jobs by hand: a run to call one with, and leases and runners on the database of a test."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from pymongo.database import Database

from consumer.mongodb.client import JOB_RUNS, LEASES
from consumer.mongodb.leases import Lease, Leases
from consumer.monitoring.job_runs import JobRuns
from jobs.scheduling.runner import Runner

Db = Database[dict[str, Any]]
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


@dataclass(slots=True)
class Run:
    """A `JobRun` that nobody ends, or a test: by `stop`, at the `stops_at`th time that it asks, or
    after `stop_after` reports. `facts` is what it reported."""

    fence: int = 0
    stops_at: int | None = None
    stop_after: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    facts: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    reports: int = 0

    def stopping(self) -> bool:
        self.asked += 1
        return (
            self.stop.is_set()
            or (self.stops_at is not None and self.asked >= self.stops_at)
            or (self.stop_after is not None and self.reports >= self.stop_after)
        )

    def progress(self, **facts: object) -> None:
        self.reports += 1
        self.facts |= facts


def leases(database: Db, holder: str, seconds: float = 30, **parts: Any) -> Leases:
    return Leases(database[LEASES], holder, seconds, **parts)


def granted(leases: Leases, name: str = "job") -> Lease:
    grant = leases.acquire(name).grant
    assert isinstance(grant, Lease)
    return grant


def expire(database: Db, name: str = "job") -> None:
    database[LEASES].update_one({"_id": name}, {"$set": {"expires_at": LONG_AGO}})


def runner(database: Db, instance: str, seconds: float = 30) -> Runner:
    return Runner(
        instance, leases=leases(database, instance, seconds), runs=JobRuns(database[JOB_RUNS])
    )
