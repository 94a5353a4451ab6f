"""Leases and runners on the database of a test."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from pymongo.database import Database

from consumer.mongodb.client import JOB_RUNS, LEASES
from consumer.mongodb.leases import Lease, Leases
from consumer.monitoring.job_runs import JobRuns
from jobs.scheduling.runner import Runner

Db = Database[dict[str, Any]]
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


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
