"""Store deliveries that could not become a document: unaltered, one entry per reason and body.

A further copy counts on the entry of the first. Where that has ended, and so expires, the copy
opens it again: whoever is answered that a delivery is kept must find it kept.
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

from consumer.core.clock import EPOCH
from consumer.core.delivery import Delivery, Verdict, of_source
from consumer.core.errors import StoreUnavailable
from consumer.dead_letters.claims import ENDED_FIELDS, WELL_FORMED, Claims, push_attempt
from consumer.dead_letters.retry import (
    DISCARDED,
    DUE_AT_FIRST,
    ENDED,
    FIRST_STATUS,
    PENDING_INSPECTION,
    UNRESOLVED,
)
from consumer.events.documents import storable_id
from consumer.mongodb.client import EVENTS, Document
from consumer.mongodb.errors import translated

# The effect of another copy.
Counted = Literal["counted", "reopened"]

# How many distinct signatures of one body are kept with it.
SIGNATURES = 20
_OF_ENDED = ("status", "ended_at", "resolved_by", "and_copies")
# Each further try follows a change by another process: an entry that ended, opened or expired.
_TRIES = 10
# Whoever can write to MongoDB can put any document there: every entry of ours has a reason.
HAS_REASON: dict[str, Any] = {"reason": {"$gte": ""}}
_WELL_FORMED = {**HAS_REASON, **WELL_FORMED}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry to add. `identity` is what makes it another than one of the same reason and body;
    `details` are further fields of it: `changes` of a hold, `diagnosis`;
    `at_first` those that only its first copy sets; `unwanted`: it has ended with its copies."""

    delivery: Delivery
    digest: str
    reason: str
    error_message: str
    event_id: str | int | float | None = None
    event_type: str | None = None
    identity: str = ""
    details: Mapping[str, Any] | None = None
    at_first: Mapping[str, Any] = field(default_factory=dict)
    unwanted: bool = False


def entry_id(reason: str, digest: str, identity: str = "") -> str:
    """24 hex digits of SHA-256 over reason, body digest, and source and headers where they count:
    short enough to type."""
    text = f"{reason} {digest}" + (f" {identity}" if identity else "")
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:24]


class DeadLetters:
    """The `dead_letter_queue` collection under `w=majority, j=true`; raises StoreUnavailable."""

    def __init__(
        self, entries: Collection[Document], retention: timedelta = timedelta(days=30)
    ) -> None:
        """`retention`: how long resolved and discarded entries are kept; others stay."""
        self._entries = entries
        self._copies = Copies(entries, entries.database[EVENTS], retention)
        self.claims = Claims(entries, retention)

    def add(self, new: DeadLetter) -> str:
        """Store the entry durably, or count one more copy of it; its `_id`. One that had ended is
        open again, unless its event is stored or it was discarded with its copies."""
        _id = entry_id(new.reason, new.digest, new.identity)
        delivery = new.delivery
        at = delivery.received_at
        verdict = verdict_document(delivery.verdict)
        first = {
            "timestamp": at,
            "original_payload": Binary(delivery.body),
            "digest": new.digest,
            "delivery_id": delivery.id,
            "headers": dict(delivery.headers),
            "reason": new.reason,
            "retry_count": 0,
            **waiting_fields(new.reason, at),
            "event_id": storable_id(new.event_id),
            "event_type": new.event_type,
            "verdict": verdict,
            "history": [],
            **of_source(delivery.source),
            **new.at_first,
            **(self.claims.unwanted_fields(new.error_message, at) if new.unwanted else {}),
        }
        changed = {"error_message": new.error_message, **(new.details or {})}
        update = {"$setOnInsert": first, **count_update(at, changed)}
        if verdict:
            changed["verdict"] = verdict
        with translated("dead_letter_queue"):
            for _ in range(_TRIES):
                try:
                    wanted = {"_id": _id, "status": {"$nin": ENDED}}
                    self._entries.update_one(wanted, update, upsert=True)
                except DuplicateKeyError:
                    # It has ended, or two upserts of one `_id` raced and the other inserted.
                    if not self._copies.of_ended(_id, at, changed, new.reason):
                        continue
                return _id
        raise StoreUnavailable(f"the dead letter {_id} changed {_TRIES} times while it was kept")

    def count_again(
        self, _id: str, reason: str, at: datetime, details: Mapping[str, Any] | None = None
    ) -> Counted | None:
        """Count another copy of a kept entry without sending its body, as `add` does; None when
        there is none."""
        changed = dict(details or {})
        with translated("dead_letter_queue"):
            if self._copies.of_open(_id, at, changed):
                return "counted"
            return self._copies.of_ended(_id, at, changed, reason)

    def add_signature(self, _id: str, signature: Mapping[str, Any], *, first: bool) -> None:
        """Store the signature of another copy with its entry, up to SIGNATURES distinct ones: as
        the `first`, so that the last has to go, or where there is room."""
        same = {name: signature.get(name) for name in ("headers", "presented")}
        wanted = {"_id": _id, "signatures": {"$not": {"$elemMatch": same}}}
        each: dict[str, Any] = {"$each": [dict(signature)], "$slice": SIGNATURES}
        if first:
            each["$position"] = 0
        with translated("dead_letter_queue"):
            self._entries.update_one(wanted, {"$push": {"signatures": each}})

    def open_entries(self, reasons: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The entries of these reasons that have not ended: `_id`, `peer`, `timestamp`, and `size`
        of the body in bytes."""
        pipeline: list[Document] = [
            {"$match": {"reason": {"$in": list(reasons)}, "status": {"$in": list(UNRESOLVED)}}},
            {"$project": {"peer": 1, "timestamp": 1, "size": {"$binarySize": "$original_payload"}}},
        ]
        with translated("dead_letter_queue"):
            yield from self._entries.aggregate(pipeline)

    def depths(self) -> list[tuple[str, str, int, datetime]]:
        """Reason, status, count and time of the oldest, for each; reads an index alone."""
        pipeline: list[Document] = [
            # An index serves a grouping only where there is a condition or an order on it.
            {"$match": {**HAS_REASON, "status": {"$gte": ""}, "timestamp": {"$gt": EPOCH}}},
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
            found = list(
                self._entries.find({**_WELL_FORMED, **filters}, {"reason": 1, "timestamp": 1})
            )
        found.sort(key=lambda entry: (entry["timestamp"], entry["_id"]))
        return [(entry["_id"], entry["reason"]) for entry in found]

    def by_prefix(self, prefix: str, most: int = 2) -> list[Document]:
        """Up to `most` entries whose `_id` begins with `prefix` (hex): two mean it is ambiguous."""
        with translated("dead_letter_queue"):
            bounds = {"$gte": prefix, "$lt": prefix + "g"}
            return list(self._entries.find({"_id": bounds, **_WELL_FORMED}).limit(most))

    def summary(self, filters: Mapping[str, Any] | None = None) -> list[Document]:
        """Per reason and status: `count`, `seen`, `oldest` and `newest`; the most first."""
        pipeline: list[Document] = [
            {"$match": {**_WELL_FORMED, **(filters or {})}},
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
    """The verdict as an entry stores it."""
    if verdict is None:
        return None
    return {"secret": verdict.secret, "verified_at": verdict.verified_at}


class Copies:
    """Effects of another copy on an entry of `dead_letter_queue`. `events` is where resolved ones
    became events; `retention`: how long an entry that has ended is kept."""

    def __init__(
        self, entries: Collection[Document], events: Collection[Document], retention: timedelta
    ) -> None:
        self._entries = entries
        self._events = events
        self._retention = retention

    def of_open(self, _id: str, at: datetime, changed: Mapping[str, Any]) -> bool:
        """Count a copy that came `at` of an entry that waits; False when there is none."""
        wanted = {"_id": _id, "status": {"$nin": ENDED}}
        return self._entries.update_one(wanted, count_update(at, changed)).matched_count == 1

    def of_ended(self, _id: str, at: datetime, changed: Document, reason: str) -> Counted | None:
        """Count a copy of an entry that has ended, and open that again unless its event is stored
        or it was discarded with its copies; None when there is none, or it changed meanwhile."""
        wanted = {"_id": _id, "status": {"$in": ENDED}}
        entry = self._entries.find_one(wanted, _OF_ENDED)
        if entry is None:
            return None
        as_seen = {name: entry.get(name) for name in ("_id", "status", "ended_at")}
        ended: Counted = "counted"
        if self._stays_ended(entry):
            update = count_update(at)
            update["$max"]["expires_at"] = at + self._retention
        else:
            ended = "reopened"
            update = count_update(at, {**changed, **waiting_fields(reason, at), "retry_count": 0})
            update["$unset"] = dict.fromkeys(ENDED_FIELDS, "")
            update["$push"] = push_attempt({"at": at, "by": "another copy", "result": "reopened"})
        return ended if self._entries.update_one(as_seen, update).matched_count else None

    def _stays_ended(self, entry: Document) -> bool:
        if entry["status"] == DISCARDED:
            return bool(entry.get("and_copies"))
        event = entry.get("resolved_by")
        return event is not None and self._events.find_one({"_id": event}, {"_id": 1}) is not None


def count_update(at: datetime, changed: Mapping[str, Any] | None = None) -> Document:
    """The update that counts one more copy, which came `at`."""
    update: Document = {"$max": {"last_seen": at}, "$inc": {"seen": 1}}
    return {**update, "$set": dict(changed)} if changed else update


def waiting_fields(reason: str, at: datetime) -> Document:
    """The fields of an entry that begins to wait for `reason`, now that it came `at`."""
    return {
        "status": FIRST_STATUS.get(reason, PENDING_INSPECTION),
        "next_retry_at": at if reason in DUE_AT_FIRST else None,
        "blocked_by": reason,
        "blocked_at": at,
    }
