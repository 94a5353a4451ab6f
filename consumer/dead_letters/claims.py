"""Claim dead letters one by one, so that none is tried by two at a time, and record the result.

A claim is a lease on the entry by the server's clock with a token of its own: whoever lost it, by
being slow or killed, can no longer write to the entry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo import ASCENDING, ReturnDocument
from pymongo.collection import Collection as MongoCollection

from consumer.core.clock import EPOCH
from consumer.dead_letters.retry import DISCARDED, ENDED, RESOLVED, NextState
from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated
from consumer.mongodb.leases import CLAIM, UNCLAIMED

_HISTORY_KEPT = 50
# Others may put documents here that look like ours: each of ours has had these from the first.
WELL_FORMED: Mapping[str, Any] = {
    "original_payload": {"$type": "binData"},
    "retry_count": {"$type": "number"},
    "status": {"$type": "string"},
    "timestamp": {"$type": "date"},
}
_IS_DUE = {"$lte": ["$next_retry_at", "$$NOW"]}
# What only entries have that have ended. One that is tried again and stays must not expire.
ENDED_FIELDS = ("ended_at", "expires_at", "resolved_by", "discarded_because", "and_copies")
_OF_DISCARDED = ("discarded_because", "and_copies")


@dataclass(frozen=True, slots=True)
class Blocked:
    """The fields of an entry that stays: `blocked_by` is the reason of the last attempt, `details`
    further fields of the entry."""

    state: NextState
    blocked_by: str
    error_message: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Claims:
    """Claims on the entries of `dead_letter_queue`; raises StoreUnavailable."""

    def __init__(self, entries: MongoCollection[Document], retention: timedelta) -> None:
        """`retention`: how long resolved and discarded entries are kept."""
        self._entries = entries
        self._retention = retention

    def due(self, limit: int, without_reasons: Collection[str] = ()) -> list[str]:
        """Ids of entries that are due by the server's clock, the longest due first."""
        wanted: Document = {"next_retry_at": {"$gt": EPOCH}, "$expr": _IS_DUE, **WELL_FORMED}
        if without_reasons:
            wanted["blocked_by"] = {"$nin": sorted(without_reasons)}
        with self._translated():
            found = self._entries.find(wanted, {"_id": 1}).sort("next_retry_at", ASCENDING)
            return [entry["_id"] for entry in found.limit(limit)]

    def claim(
        self, _id: str, by: str, statuses: Sequence[str], *, only_due: bool = False
    ) -> Document | None:
        """The entry, ours for CLAIM; None when it is not (any more) to be had."""
        conditions = [UNCLAIMED, _IS_DUE] if only_due else [UNCLAIMED]
        wanted: Document = {
            "_id": _id,
            "status": {"$in": list(statuses)},
            "$expr": {"$and": conditions},
        }
        if only_due:
            # MongoDB orders null before every date: an entry that waits for no time is not due.
            wanted["next_retry_at"] = {"$gt": EPOCH}
        milliseconds = int(CLAIM.total_seconds() * 1000)
        claim = {
            "token": uuid4().hex,
            "by": {"$literal": by},
            "until": {"$add": ["$$NOW", milliseconds]},
            "taken": {"$add": [{"$ifNull": ["$claim.taken", 0]}, 1]},
        }
        with self._translated():
            return self._entries.find_one_and_update(
                wanted, [{"$set": {"claim": claim}}], return_document=ReturnDocument.AFTER
            )

    def resolve(
        self, entry: Document, event: str | None, attempt: Mapping[str, Any], at: datetime
    ) -> bool:
        """End a claimed entry by the event with `_id` `event`; False when the claim was lost."""
        changed = {**self._ended_fields(RESOLVED, at), "resolved_by": event}
        return self._record(entry, changed, attempt, _OF_DISCARDED)

    def put_back(self, entry: Document, blocked: Blocked, attempt: Mapping[str, Any]) -> bool:
        """Let a claimed entry wait on; False when the claim was lost."""
        changed: Document = {
            "status": blocked.state.status,
            "next_retry_at": blocked.state.at,
            "error_message": blocked.error_message,
            **blocked.details,
        }
        if blocked.blocked_by != entry.get("blocked_by"):
            changed |= {
                "blocked_by": blocked.blocked_by,
                "blocked_at": attempt["at"],
                "tried_with": None,
            }
        return self._record(entry, changed, attempt, ENDED_FIELDS)

    def is_gone(self, _id: str) -> bool:
        """True where there is no such entry any more."""
        with self._translated():
            return self._entries.find_one({"_id": _id}, {"_id": 1}) is None

    def is_resolved(self, _id: str) -> bool:
        """True where it became an event."""
        with self._translated():
            return self._entries.find_one({"_id": _id, "status": RESOLVED}, {"_id": 1}) is not None

    def release(self, entry: Document) -> None:
        """Give a claimed entry back as it was."""
        with self._translated():
            self._entries.update_one(_still_claimed(entry), {"$unset": {"claim": ""}})

    def discard(
        self, _id: str, by: str, because: str, at: datetime, *, and_copies: bool = False
    ) -> bool:
        """End an entry as not wanted, and with `and_copies` whatever comes of it later; False when
        it has ended, or is being tried just now."""
        ended = {**self._ended_fields(DISCARDED, at), "discarded_because": because}
        if and_copies:
            ended["and_copies"] = True
        attempt = {"at": at, "by": by, "result": DISCARDED, "error": because}
        with self._translated():
            done = self._entries.update_one(
                {
                    "_id": _id,
                    "status": {"$nin": ENDED},
                    "$expr": UNCLAIMED,
                },
                {
                    "$set": ended,
                    "$push": push_attempt(attempt),
                    "$unset": {"claim": ""},
                },
            )
        return done.matched_count == 1

    def end_unwanted(
        self, entry: Document, because: str, attempt: Mapping[str, Any], at: datetime
    ) -> bool:
        """End a claimed entry as not wanted, with its copies; False when the claim was lost."""
        return self._record(entry, self.unwanted_fields(because, at), attempt, ())

    def unwanted_fields(self, because: str, at: datetime) -> Document:
        """The fields of an entry that nobody wants, nor copies of it."""
        ended = self._ended_fields(DISCARDED, at)
        return {**ended, "discarded_because": because, "and_copies": True}

    def drop(self, _id: str) -> bool:
        """Delete an entry that waits, to make room; False when it is being tried just now, has
        ended, or is gone."""
        wanted = {"_id": _id, "status": {"$nin": ENDED}, "$expr": UNCLAIMED}
        with self._translated():
            return self._entries.delete_one(wanted).deleted_count == 1

    def _ended_fields(self, status: str, at: datetime) -> Document:
        # Only ended entries have `expires_at`: the TTL index drops nothing else.
        return {
            "status": status,
            "next_retry_at": None,
            "ended_at": at,
            "expires_at": at + self._retention,
        }

    def _record(
        self, entry: Document, changed: Document, attempt: Mapping[str, Any], gone: Sequence[str]
    ) -> bool:
        with self._translated():
            done = self._entries.update_one(
                _still_claimed(entry),
                {
                    "$set": changed,
                    "$push": push_attempt(attempt),
                    "$inc": {"retry_count": 1},
                    "$unset": dict.fromkeys(("claim", *gone), ""),
                },
            )
        return done.matched_count == 1

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self._entries.name):
            yield


def _still_claimed(entry: Document) -> Document:
    return {"_id": entry["_id"], "claim.token": entry["claim"]["token"]}


def push_attempt(attempt: Mapping[str, Any]) -> Document:
    """The `$push` of an attempt to the bounded history of an entry."""
    return {"history": {"$each": [dict(attempt)], "$slice": -_HISTORY_KEPT}}
