"""Keep deliveries that could not become a document: unaltered, once per reason and body.

Count further copies of a delivery that is kept, and open its entry again where that has ended.

Whoever is answered that a delivery is kept must find it kept: an entry that has ended expires.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from bson.binary import Binary
from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from consumer.core.delivery import Delivery, Verdict
from consumer.core.errors import StoreUnavailable
from consumer.dead_letters.claims import ENDED_FIELDS, WHOLE, Claims, pushed
from consumer.dead_letters.retry import (
    DISCARDED,
    DUE_AT_FIRST,
    FIRST_STATUS,
    HELD,
    PARKED,
    PENDING_INSPECTION,
    PENDING_RETRY,
    RESOLVED,
)
from consumer.events.documents import storable_id
from consumer.events.search import shortened
from consumer.mongodb.client import EVENTS
from consumer.mongodb.errors import translated
from consumer.mongodb.leases import EPOCH

# What the sweep may try, and what a person may.
OPEN = (PENDING_INSPECTION, PENDING_RETRY, HELD)
UNRESOLVED = (*OPEN, PARKED)
# How many distinct signatures of one body are kept with it.
SIGNATURES = 20
# These may be as long as a body.
_FROM_OUTSIDE = ("event_id", "event_type", "error_message", "diagnosis", "discarded_because")
# Each further try follows a change by another process: an entry that ended, opened or expired.
_TRIES = 10


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry to keep. `details` are further fields of it: `changes` of a hold, `diagnosis`;
    `at_first` those that only its first copy sets."""

    delivery: Delivery
    digest: str
    reason: str
    error_message: str
    event_id: str | int | float | None = None
    event_type: str | None = None
    details: Mapping[str, Any] | None = None
    at_first: Mapping[str, Any] = field(default_factory=dict)


def entry_id(reason: str, digest: str) -> str:
    """24 hex digits of SHA-256 over reason and body digest: short enough to type."""
    return hashlib.sha256(f"{reason} {digest}".encode("ascii")).hexdigest()[:24]


# Whoever can write to MongoDB can put any document there: every entry of ours has a reason.
OURS: dict[str, Any] = {"reason": {"$gte": ""}}
_WHOLE = {**OURS, **WHOLE}


class DeadLetters:
    """The `dead_letter_queue` collection under `w=majority, j=true`; raises StoreUnavailable."""

    def __init__(
        self, entries: Collection[dict[str, Any]], retention: timedelta = timedelta(days=30)
    ) -> None:
        """`retention`: how long resolved and discarded entries are kept; others stay."""
        self._entries = entries
        self._copies = Copies(entries, entries.database[EVENTS], retention)
        self.claims = Claims(entries, retention)

    def keep(self, letter: DeadLetter) -> str:
        """Durably keep or count the entry; its `_id`. One that had ended is open again, unless its
        event is stored or it was discarded with its copies."""
        _id = entry_id(letter.reason, letter.digest)
        delivery = letter.delivery
        at = delivery.received_at
        verdict = verdict_document(delivery.verdict)
        first = {
            "timestamp": at,
            "original_payload": Binary(delivery.body),
            "digest": letter.digest,
            "delivery_id": delivery.id,
            "headers": dict(delivery.headers),
            "reason": letter.reason,
            "retry_count": 0,
            **waiting(letter.reason, at),
            "event_id": storable_id(letter.event_id),
            "event_type": letter.event_type,
            "verdict": verdict,
            "history": [],
            **letter.at_first,
        }
        changed = {"error_message": letter.error_message, **(letter.details or {})}
        update = {"$setOnInsert": first, **counted(at, changed)}
        if verdict:
            changed["verdict"] = verdict
        with translated("dead_letter_queue"):
            for _ in range(_TRIES):
                try:
                    wanted = {"_id": _id, "status": {"$nin": ENDED}}
                    self._entries.update_one(wanted, update, upsert=True)
                except DuplicateKeyError:
                    # It has ended, or two upserts of one `_id` raced and the other inserted.
                    if not self._copies.of_ended(_id, at, changed, letter.reason):
                        continue
                return _id
        raise StoreUnavailable(f"the dead letter {_id} changed {_TRIES} times while it was kept")

    def count_again(
        self, reason: str, digest: str, at: datetime, details: Mapping[str, Any] | None = None
    ) -> Counted | None:
        """Count another copy of a kept entry without sending its body, as `keep` does; None when
        there is none."""
        _id, changed = entry_id(reason, digest), dict(details or {})
        with translated("dead_letter_queue"):
            if self._copies.of_open(_id, at, changed):
                return "counted"
            return self._copies.of_ended(_id, at, changed, reason)

    def add_signature(self, _id: str, signature: Mapping[str, Any], *, first: bool) -> None:
        """Keep the signature of another copy with its entry, up to SIGNATURES distinct ones: as the
        `first`, so that the last has to go, or where there is room."""
        wanted = {"_id": _id, "signatures.headers": {"$ne": signature["headers"]}}
        each: dict[str, Any] = {"$each": [dict(signature)], "$slice": SIGNATURES}
        if first:
            each["$position"] = 0
        with translated("dead_letter_queue"):
            self._entries.update_one(wanted, {"$push": {"signatures": each}})

    def open_ones(self, reasons: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The entries of these reasons that have not ended: `_id`, `peer`, `timestamp`, and `size`
        of the body in bytes."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"reason": {"$in": list(reasons)}, "status": {"$in": list(UNRESOLVED)}}},
            {"$project": {"peer": 1, "timestamp": 1, "size": {"$binarySize": "$original_payload"}}},
        ]
        with translated("dead_letter_queue"):
            yield from self._entries.aggregate(pipeline)

    def listed(self, filters: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
        """Entries that match, the last seen first, as a list shows them: without what is large,
        with the `bytes` of their bodies, and texts from outside cut."""
        left_out = ["original_payload", "edited_payload", "headers", "history", "changes"]
        pipeline: list[dict[str, Any]] = [
            {"$match": {**_WHOLE, **filters}},
            {
                "$set": {
                    "bytes": {"$binarySize": "$original_payload"},
                    **{name: shortened(f"${name}") for name in _FROM_OUTSIDE},
                }
            },
            # Before they are sorted, for whole entries would fill the server's memory.
            {"$unset": left_out},
            {"$sort": {"last_seen": DESCENDING}},
            {"$limit": limit},
        ]
        with translated("dead_letter_queue"):
            return list(self._entries.aggregate(pipeline))

    def depths(self) -> list[tuple[str, str, int, datetime]]:
        """Per reason and status: how many, and when the oldest came; reads an index alone."""
        pipeline: list[dict[str, Any]] = [
            # An index serves a grouping only where there is a condition or an order on it.
            {"$match": {**OURS, "status": {"$gte": ""}, "timestamp": {"$gt": EPOCH}}},
            {
                "$group": {
                    "_id": {"reason": "$reason", "status": "$status"},
                    "count": {"$sum": 1},
                    "oldest": {"$min": "$timestamp"},
                }
            },
        ]
        with translated("dead_letter_queue"):
            return [
                (row["_id"]["reason"], row["_id"]["status"], int(row["count"]), row["oldest"])
                for row in self._entries.aggregate(pipeline)
            ]

    def ids(self, filters: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Ids and reasons of the entries that match, the oldest first."""
        with translated("dead_letter_queue"):
            # Ordered here: the server would sort whole entries, bodies and all.
            found = list(self._entries.find({**_WHOLE, **filters}, {"reason": 1, "timestamp": 1}))
        found.sort(key=lambda entry: (entry["timestamp"], entry["_id"]))
        return [(entry["_id"], entry["reason"]) for entry in found]

    def by_prefix(self, prefix: str) -> list[dict[str, Any]]:
        """Up to two entries whose `_id` begins with `prefix` (hex): two mean it is ambiguous."""
        with translated("dead_letter_queue"):
            bounds = {"$gte": prefix, "$lt": prefix + "g"}
            return list(self._entries.find({"_id": bounds, **_WHOLE}).limit(2))

    def summary(self, filters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Per reason and status: `count`, `seen`, `oldest` and `newest`; the most first."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {**_WHOLE, **(filters or {})}},
            {
                "$group": {
                    "_id": {"reason": "$reason", "status": "$status"},
                    "count": {"$sum": 1},
                    "seen": {"$sum": "$seen"},
                    "oldest": {"$min": "$timestamp"},
                    "newest": {"$max": "$last_seen"},
                }
            },
            {"$sort": {"count": DESCENDING, "_id": 1}},
        ]
        with translated("dead_letter_queue"):
            return list(self._entries.aggregate(pipeline))


def verdict_document(verdict: Verdict | None) -> dict[str, Any] | None:
    """How a verdict stands in an entry."""
    if verdict is None:
        return None
    return {"secret": verdict.secret, "verified_at": verdict.verified_at}


Entry = dict[str, Any]
Counted = Literal["counted", "reopened"]

ENDED = (DISCARDED, RESOLVED)
_LOOKED_AT = ("status", "ended_at", "resolved_by", "and_copies")


class Copies:
    """Effects of another copy on an entry of `dead_letter_queue`. `events` is where resolved ones
    became events; `retention`: how long an entry that has ended is kept."""

    def __init__(
        self, entries: Collection[Entry], events: Collection[Entry], retention: timedelta
    ) -> None:
        self._entries = entries
        self._events = events
        self._retention = retention

    def of_open(self, _id: str, at: datetime, changed: Mapping[str, Any]) -> bool:
        """Count a copy that came `at` of an entry that waits; False when there is none."""
        wanted = {"_id": _id, "status": {"$nin": ENDED}}
        return self._entries.update_one(wanted, counted(at, changed)).matched_count == 1

    def of_ended(self, _id: str, at: datetime, changed: Entry, reason: str) -> Counted | None:
        """Count a copy of an entry that has ended, and open that again unless its event is stored
        or it was discarded with its copies; None when there is none, or it changed meanwhile."""
        wanted = {"_id": _id, "status": {"$in": ENDED}}
        entry = self._entries.find_one(wanted, _LOOKED_AT)
        if entry is None:
            return None
        as_seen = {name: entry.get(name) for name in ("_id", "status", "ended_at")}
        ended: Counted = "counted"
        if self._stays_ended(entry):
            update = counted(at)
            update["$max"]["expires_at"] = at + self._retention
        else:
            ended = "reopened"
            update = counted(at, {**changed, **waiting(reason, at), "retry_count": 0})
            update["$unset"] = dict.fromkeys(ENDED_FIELDS, "")
            update["$push"] = pushed({"at": at, "by": "another copy", "result": "reopened"})
        return ended if self._entries.update_one(as_seen, update).matched_count else None

    def _stays_ended(self, entry: Entry) -> bool:
        if entry["status"] == DISCARDED:
            return bool(entry.get("and_copies"))
        event = entry.get("resolved_by")
        return event is not None and self._events.find_one({"_id": event}, {"_id": 1}) is not None


def counted(at: datetime, changed: Mapping[str, Any] | None = None) -> Entry:
    """The update that counts one more copy, which came `at`."""
    update: Entry = {"$max": {"last_seen": at}, "$inc": {"seen": 1}}
    return {**update, "$set": dict(changed)} if changed else update


def waiting(reason: str, at: datetime) -> Entry:
    """The fields of an entry that begins to wait for `reason`, now that it came `at`."""
    return {
        "status": FIRST_STATUS.get(reason, PENDING_INSPECTION),
        "next_retry_at": at if reason in DUE_AT_FIRST else None,
        "blocked_by": reason,
        "blocked_at": at,
    }
