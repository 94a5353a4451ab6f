"""Know which processes of the service run, by a sign of life that each gives."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from consumer.storage.stored_format import FORMAT
from consumer.storage.translate import translated

Document = dict[str, Any]

# Seconds between two signs of life, and after how many a process counts as silent.
BEAT_EVERY = 10.0
SILENT_AFTER = 3 * BEAT_EVERY


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


class Instances:
    """The `instances` collection, dated by the server's clock. Methods raise StoreUnavailable.

    MongoDB deletes those that went silent an hour ago.
    """

    def __init__(self, collection: Collection[Document]) -> None:
        self._instances = collection.with_options(
            write_concern=WriteConcern(w=1), read_concern=ReadConcern("local")
        )

    def beat(self, instance: Instance, facts: Mapping[str, Any] | None = None) -> None:
        """Give the sign of life, and the `facts` that hold just now."""
        told = {
            "host": instance.host,
            "pid": instance.pid,
            "version": instance.version,
            "format": FORMAT,
            "facts": dict(facts or {}),
        }
        update: list[Document] = [
            {
                "$set": {
                    **{name: {"$literal": value} for name, value in told.items()},
                    "started_at": {"$ifNull": ["$started_at", "$$NOW"]},
                    "last_seen": "$$NOW",
                }
            }
        ]
        with translated("instances"):
            try:
                self._instances.update_one({"_id": instance.id}, update, upsert=True)
            except DuplicateKeyError:
                self._instances.update_one({"_id": instance.id}, update, upsert=True)

    def leave(self, instance: Instance) -> None:
        """Take the process off the list: it ends as it should."""
        with translated("instances"):
            self._instances.delete_one({"_id": instance.id})

    def all(self) -> list[Document]:
        """Every process, the first started first: `_id`, `host`, `pid`, `version`, `format` (the
        newest it knows), `facts`, `started_at`, `last_seen`, and `silent` (seconds since then by
        the server's clock)."""
        silent = {"$divide": [{"$subtract": ["$$NOW", "$last_seen"]}, 1000]}
        pipeline: list[Document] = [
            {"$match": {"started_at": {"$type": "date"}, "host": {"$type": "string"}}},
            {"$sort": {"started_at": 1, "_id": 1}},
            {"$set": {"silent": silent}},
        ]
        with translated("instances"):
            return list(self._instances.aggregate(pipeline))
