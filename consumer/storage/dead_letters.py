"""Keep deliveries that could not become a document: unaltered, once per reason and body."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson.binary import Binary
from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from consumer.events import Delivery, Verdict
from consumer.storage.documents import storable_id
from consumer.storage.translate import translated

PENDING_INSPECTION = "pending_inspection"
PENDING_RETRY = "pending_retry"
HELD = "held"
RESOLVED = "resolved"
OPEN = (PENDING_INSPECTION, PENDING_RETRY, HELD)

# How an entry begins: whether waiting alone, a person or another setting can help.
FIRST_STATUS: Mapping[str, str] = {
    "contract_hold": HELD,
    "id_conflict": HELD,
    "constraint_violation": HELD,
    "store_error": PENDING_RETRY,
}
_HISTORY_KEPT = 50


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry to keep. `details` are further fields of it: `changes` of a hold, `diagnosis`."""

    delivery: Delivery
    digest: str
    reason: str
    error_message: str
    event_id: str | int | float | None = None
    event_type: str | None = None
    details: Mapping[str, Any] | None = None


def entry_id(reason: str, digest: str) -> str:
    """24 hex digits of SHA-256 over reason and body digest: short enough to type."""
    return hashlib.sha256(f"{reason} {digest}".encode("ascii")).hexdigest()[:24]


class DeadLetters:
    """The `dead_letter_queue` collection under `w=majority, j=true`; raises StoreUnavailable."""

    def __init__(self, entries: Collection[dict[str, Any]]) -> None:
        self._entries = entries

    def keep(self, letter: DeadLetter) -> str:
        """Durably keep or count the entry; its `_id`."""
        _id = entry_id(letter.reason, letter.digest)
        delivery = letter.delivery
        first = {
            "timestamp": delivery.received_at,
            "original_payload": Binary(delivery.body),
            "digest": letter.digest,
            "delivery_id": delivery.id,
            "headers": dict(delivery.headers),
            "reason": letter.reason,
            "status": FIRST_STATUS.get(letter.reason, PENDING_INSPECTION),
            "retry_count": 0,
            "next_retry_at": None,
            "event_id": storable_id(letter.event_id),
            "event_type": letter.event_type,
            "verdict": _verdict_document(delivery.verdict),
            "history": [],
        }
        update = {
            "$setOnInsert": first,
            "$set": {"error_message": letter.error_message, **(letter.details or {})},
            "$max": {"last_seen": delivery.received_at},
            "$inc": {"seen": 1},
        }
        with translated("dead_letter_queue"):
            try:
                self._entries.update_one({"_id": _id}, update, upsert=True)
            except DuplicateKeyError:
                # Two upserts of one `_id` raced: the other inserted, so this one only counts.
                self._entries.update_one({"_id": _id}, update, upsert=True)
        return _id

    def count_again(
        self, reason: str, digest: str, at: datetime, details: Mapping[str, Any] | None = None
    ) -> bool:
        """Count another copy of a kept entry without sending its body; False when there is none."""
        update: dict[str, Any] = {"$max": {"last_seen": at}, "$inc": {"seen": 1}}
        if details:
            update["$set"] = dict(details)
        with translated("dead_letter_queue"):
            found = self._entries.update_one({"_id": entry_id(reason, digest)}, update)
        return found.matched_count == 1

    def footprint(self, reasons: Sequence[str]) -> tuple[int, int]:
        """How many entries of these reasons are kept, and their body bytes."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"reason": {"$in": list(reasons)}}},
            {
                "$group": {
                    "_id": None,
                    "count": {"$sum": 1},
                    "bytes": {"$sum": {"$binarySize": "$original_payload"}},
                }
            },
        ]
        with translated("dead_letter_queue"):
            for row in self._entries.aggregate(pipeline):
                return int(row["count"]), int(row["bytes"])
        return 0, 0

    def find(self, filters: Mapping[str, Any], limit: int = 0) -> Iterator[dict[str, Any]]:
        """Entries that match, the last seen first; `limit` 0 is all."""
        with translated("dead_letter_queue"):
            yield from self._entries.find(dict(filters)).sort("last_seen", DESCENDING).limit(limit)

    def by_prefix(self, prefix: str) -> list[dict[str, Any]]:
        """Up to two entries whose `_id` begins with `prefix` (hex): two mean it is ambiguous."""
        with translated("dead_letter_queue"):
            bounds = {"$gte": prefix, "$lt": prefix + "g"}
            return list(self._entries.find({"_id": bounds}).limit(2))

    def summary(self) -> list[dict[str, Any]]:
        """Per reason and status: `count`, `seen`, `oldest` and `newest`; the most first."""
        pipeline: list[dict[str, Any]] = [
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

    def resolve(self, _id: str, event: str | None, attempt: Mapping[str, Any]) -> None:
        """End the entry as `resolved` by the event with `_id` `event`, recording the attempt."""
        changed = {"status": RESOLVED, "resolved_by": event, "next_retry_at": None}
        self._record(_id, changed, attempt)

    def failed(self, _id: str, error_message: str, attempt: Mapping[str, Any]) -> None:
        """Record an attempt that did not help."""
        self._record(_id, {"error_message": error_message}, attempt)

    def _record(self, _id: str, changed: Mapping[str, Any], attempt: Mapping[str, Any]) -> None:
        history = {"$each": [dict(attempt)], "$slice": -_HISTORY_KEPT}
        with translated("dead_letter_queue"):
            self._entries.update_one(
                {"_id": _id},
                {
                    "$set": dict(changed),
                    "$push": {"history": history},
                    "$inc": {"retry_count": 1},
                },
            )


def _verdict_document(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {"secret": verdict.secret, "verified_at": verdict.verified_at}
