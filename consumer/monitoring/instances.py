"""List the processes of the service that run, by the heartbeat that each writes."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from consumer.core.clock import utc_now
from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated
from consumer.mongodb.stored_format import FORMAT

# Seconds between two heartbeats, and after how many a process counts as silent.
BEAT_EVERY = 10.0
SILENT_AFTER = 3 * BEAT_EVERY
# Seconds that clocks may differ without a warning: figures are counted by the hour.
CLOCK_TOLERANCE = 300.0


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of the service, from its start to its end; `id` is never used again."""

    id: str
    host: str
    pid: int
    version: str


def this_process(version: str, host: str | None = None) -> Instance:
    """The process that calls; `host` defaults to the name of the machine."""
    name, pid = host or socket.gethostname(), os.getpid()
    # Containers have equal pids and sometimes equal host names.
    return Instance(f"{name}-{pid}-{uuid.uuid4().hex[:6]}", name, pid, version)


def clocks_apart(processes: Iterable[Document]) -> list[str]:
    """A sentence for each running process (a row of `Instances.all`) whose clock shows that clocks
    are more than CLOCK_TOLERANCE from each other, MongoDB's among them."""
    running = {
        each["_id"]: each["ahead"]
        for each in processes
        if each.get("ahead") is not None and each["silent"] <= SILENT_AFTER
    }
    if max((0, *running.values())) - min((0, *running.values())) <= CLOCK_TOLERANCE:
        return []
    return [
        f"the clock of process {name} is {abs(ahead):,.0f} s"
        f" {'ahead of' if ahead > 0 else 'behind'} MongoDB's"
        for name, ahead in sorted(running.items())
        if abs(ahead) > CLOCK_TOLERANCE / 2
    ]


class Instances:
    """The `instances` collection, dated by the server's clock. Methods raise StoreUnavailable.

    MongoDB deletes those that went silent an hour ago.
    """

    def __init__(self, collection: Collection[Document]) -> None:
        self._instances = collection.with_options(
            write_concern=WriteConcern(w=1), read_concern=ReadConcern("local")
        )

    def beat(
        self,
        instance: Instance,
        facts: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> timedelta:
        """Write the heartbeat, and the `facts` that hold just now; the result is how far `clock` is
        ahead of MongoDB's, at least (behind: less than nothing)."""
        before = clock()
        reported = {
            "host": instance.host,
            "pid": instance.pid,
            "version": instance.version,
            "format": FORMAT,
            "clock": before,
            "facts": dict(facts or {}),
        }
        update: list[Document] = [
            {
                "$set": {
                    **{name: {"$literal": value} for name, value in reported.items()},
                    "started_at": {"$ifNull": ["$started_at", "$$NOW"]},
                    "last_seen": "$$NOW",
                }
            }
        ]
        with translated("instances"):
            try:
                there = self._upsert(instance, update)
            except DuplicateKeyError:
                there = self._upsert(instance, update)
        # MongoDB looked at its clock somewhere between.
        return before - there if there < before else min(clock() - there, timedelta(0))

    def _upsert(self, instance: Instance, update: list[Document]) -> datetime:
        found = self._instances.find_one_and_update(
            {"_id": instance.id}, update, upsert=True, return_document=ReturnDocument.AFTER
        )
        at: datetime = (found or {})["last_seen"]
        return at.replace(tzinfo=timezone.utc)

    def leave(self, instance: Instance) -> None:
        """Take the process off the list: it ends as it should."""
        with translated("instances"):
            self._instances.delete_one({"_id": instance.id})

    def all(self) -> list[Document]:
        """Every process, the first started first: `_id`, `host`, `pid`, `version`, `format` (the
        newest it knows), `facts`, `started_at`, `last_seen`, `silent` (seconds since then by
        the server's clock), and `ahead` (seconds that its clock was ahead of the server's then)."""
        silent = {"$divide": [{"$subtract": ["$$NOW", "$last_seen"]}, 1000]}
        ahead = {"$divide": [{"$subtract": ["$clock", "$last_seen"]}, 1000]}
        pipeline: list[Document] = [
            {"$match": {"started_at": {"$type": "date"}, "host": {"$type": "string"}}},
            {"$sort": {"started_at": 1, "_id": 1}},
            {"$set": {"silent": silent, "ahead": ahead}},
        ]
        with translated("instances"):
            return list(self._instances.aggregate(pipeline))
