"""Leases: one process among many does a job for a while, by the clock of MongoDB alone."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic

import pymongo
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from consumer.core.clock import EPOCH
from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated

# How long one document is claimed, by `claim` in it: far longer than any attempt at a dead letter
# takes, with every call at its time limit.
CLAIM = timedelta(seconds=60)
UNCLAIMED = {"$lte": [{"$ifNull": ["$claim.until", EPOCH]}, "$$NOW"]}


@dataclass(frozen=True, slots=True)
class Lease:
    """A granted lease. `fence` grows by one with each grant of this name.

    `until` is in seconds of this process's monotonic clock, counted from before the request: the
    server's own expiry is never earlier.
    """

    name: str
    holder: str
    fence: int
    until: float


@dataclass(frozen=True, slots=True)
class Later:
    """Not granted: another holds it, or it is not due; `seconds` until asking again can help."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Outcome of asking; `success_age`: seconds since anybody's last success, if ever."""

    grant: Lease | Later
    success_age: float | None = None


class Leases:
    """The `leases` collection: one document a name, kept for ever, because the fence in it must
    never go back. Every method raises StoreUnavailable.

    `seconds`: how long a grant lasts unless renewed; `timeout`: how long a renewal may take.
    """

    def __init__(
        self,
        collection: Collection[Document],
        holder: str,
        seconds: float,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._leases = collection
        self._holder = holder
        self._now = now
        self.seconds = seconds

    def acquire(self, name: str) -> Answer:
        """Ask for the lease; it is granted when it is free and due."""
        asked, grant = self._now(), uuid.uuid4().hex
        with translated("leases"):
            try:
                found = self._take(name, grant)
            except DuplicateKeyError:
                # Two first requests for one name raced: the other inserted the document.
                found = self._take(name, grant)
        age = found.get("success_age")
        success_age = None if age is None else max(0.0, age / 1000)
        if found["grant"] != grant:
            return Answer(Later(max(0.0, found["wait"] / 1000)), success_age)
        return Answer(
            Lease(name, self._holder, int(found["fence"]), asked + self.seconds), success_age
        )

    def renew(self, lease: Lease, timeout: float) -> Lease | None:
        """The lease for another while; None when another holder has it. Takes `timeout` at most."""
        asked = self._now()
        with pymongo.timeout(timeout), translated("leases"):
            done = self._leases.update_one(
                _held(lease), [{"$set": {"expires_at": _from_now(self.seconds)}}]
            )
        return replace(lease, until=asked + self.seconds) if done.matched_count else None

    def release(self, lease: Lease, *, due_after: float | None, succeeded: bool) -> bool:
        """Let go; False when it was lost before.

        `due_after`: seconds from the grant until it may be acquired as due; None keeps what was, so
        that another process may go on at once.
        """
        changed: Document = {"holder": None, "expires_at": "$$NOW"}
        if due_after is not None:
            changed["due_at"] = {"$add": ["$acquired_at", int(due_after * 1000)]}
        if succeeded:
            changed["succeeded_at"] = "$$NOW"
        with translated("leases"):
            return self._leases.update_one(_held(lease), [{"$set": changed}]).matched_count == 1

    def all(self) -> list[Document]:
        """Every lease by name: `holder` (None: free or expired, by the server's clock), `fence`,
        `acquired_at`, `due_at` and `succeeded_at`, where they are known."""
        held = {"$gt": ["$expires_at", "$$NOW"]}
        pipeline: list[Document] = [
            {"$match": {"fence": {"$type": "number"}}},
            {"$sort": {"_id": 1}},
            {
                "$project": {
                    "_id": 0,
                    "name": "$_id",
                    "fence": 1,
                    "acquired_at": 1,
                    "due_at": 1,
                    "succeeded_at": 1,
                    "holder": {"$cond": [held, "$holder", None]},
                }
            },
        ]
        with translated("leases"):
            return list(self._leases.aggregate(pipeline))

    def _take(self, name: str, grant: str) -> Document:
        """The document after a grant, or unchanged; with `wait` and `success_age` in ms."""
        free = {"$and": [_passed("$expires_at"), _passed("$due_at")]}
        # One expression of the server decides and grants: no clock of a process plays a part. A
        # filter could not do that together with an upsert ($expr is refused there).
        granted = {
            "grant": grant,
            "holder": {"$literal": self._holder},
            "fence": {"$add": [{"$ifNull": ["$fence", 0]}, 1]},
            "acquired_at": "$$NOW",
            "expires_at": _from_now(self.seconds),
        }
        found = self._leases.find_one_and_update(
            {"_id": name},
            [{"$set": {key: {"$cond": [free, to, f"${key}"]} for key, to in granted.items()}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
            projection={
                "grant": 1,
                "fence": 1,
                "wait": {"$max": [_until("$expires_at"), _until("$due_at")]},
                "success_age": {"$subtract": ["$$NOW", "$succeeded_at"]},
            },
        )
        # An upsert that returns what it left behind always returns a document.
        return found or {}


def _held(lease: Lease) -> Document:
    return {"_id": lease.name, "fence": lease.fence, "holder": lease.holder}


def _from_now(seconds: float) -> Document:
    return {"$add": ["$$NOW", int(seconds * 1000)]}


def _passed(field: str) -> Document:
    return {"$lte": [{"$ifNull": [field, EPOCH]}, "$$NOW"]}


def _until(field: str) -> Document:
    return {"$subtract": [{"$ifNull": [field, EPOCH]}, "$$NOW"]}
