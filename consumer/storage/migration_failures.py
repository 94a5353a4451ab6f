"""Keep the documents that a backfill could not rewrite as dead letters, one entry each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import bson
from bson.binary import Binary
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from consumer.retry_rules import DISCARDED, PARKED, PENDING_INSPECTION, RESOLVED
from consumer.storage.dead_letters import OPEN, entry_id
from consumer.storage.translate import translated
from consumer.storage.whole_documents import Refusal

REASON = "migration_failed"
# A cause may have gone meanwhile, and nobody thought of the entry.
AGAIN_AFTER = timedelta(days=1)

_GIVEN_UP = frozenset({DISCARDED, PARKED})
_COLLECTION = "dead_letter_queue"
_MEANINGS = {
    0: "it changed while it was being filled",
    121: "the validator of the collection refused it",
    11000: "a unique index refused it",
    **dict.fromkeys((10334, 17280, 17419, 17420), "it would be larger than MongoDB takes"),
}


@dataclass(frozen=True, slots=True)
class Known:
    """Entries about the documents asked for, by entry: those to `pass_over`, and those `open`."""

    pass_over: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()


def entry_of(document_id: Any) -> str:
    """The `_id` of the entry about the document with this `_id`."""
    return entry_id(REASON, _digest(document_id))


class MigrationFailures:
    """Entries with the reason `migration_failed`; every method raises StoreUnavailable.

    `document_id` and `code` say what MongoDB refused and why, `to_version` what it should become.
    The document itself stands unharmed in `events`, so `original_payload` is empty.
    """

    def __init__(
        self, entries: Collection[dict[str, Any]], retention: timedelta = timedelta(days=30)
    ) -> None:
        """`retention`: how long resolved entries are kept."""
        self._entries = entries
        self._retention = retention

    def documents(self, subject: str, limit: int) -> list[Any]:
        """The `_id`s of documents that could not be rewritten so far, or that somebody gave up."""
        wanted = {
            "blocked_by": REASON,
            "status": {"$in": [*OPEN, *_GIVEN_UP]},
            "event_type": subject,
        }
        with translated(_COLLECTION):
            found = self._entries.find(wanted, {"document_id": 1}).limit(limit)
            return [entry["document_id"] for entry in found]

    def known(self, ids: Iterable[Any], to: int, now: datetime, again: bool = False) -> Known:
        """What is known of these documents. One is passed over whose entry is discarded or parked,
        or, unless it is to be tried `again`, that was refused for version `to` within AGAIN_AFTER.
        """
        wanted = {"_id": {"$in": [entry_of(_id) for _id in ids]}}
        fields = {"status": 1, "to_version": 1, "last_seen": 1}
        pass_over, still_open = set(), set()
        with translated(_COLLECTION):
            for entry in self._entries.find(wanted, fields):
                if entry["status"] in _GIVEN_UP:
                    pass_over.add(entry["_id"])
                elif entry["status"] in OPEN:
                    still_open.add(entry["_id"])
                    if (
                        not again
                        and entry["to_version"] == to
                        and now - entry["last_seen"] < AGAIN_AFTER
                    ):
                        pass_over.add(entry["_id"])
        return Known(frozenset(pass_over), frozenset(still_open))

    def keep(self, refusals: Sequence[Refusal], subject: str, to: int, now: datetime) -> None:
        """Keep or count an entry for each refusal."""
        updates = [_update(refusal, subject, to, now) for refusal in refusals]
        with translated(_COLLECTION):
            try:
                self._entries.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                if any(row["code"] != 11000 for row in (error.details or {})["writeErrors"]):
                    raise
                # Another process inserted the same entry just now: this one only counts.
                self._entries.bulk_write(updates, ordered=False)

    def resolve(self, entries: Iterable[str], now: datetime) -> None:
        """End entries whose documents are filled by now."""
        attempt = {"at": now, "by": "backfill", "result": "filled"}
        with translated(_COLLECTION):
            self._entries.update_many(
                {"_id": {"$in": list(entries)}, "status": {"$in": list(OPEN)}},
                {
                    "$set": {
                        "status": RESOLVED,
                        "next_retry_at": None,
                        "ended_at": now,
                        "expires_at": now + self._retention,
                    },
                    "$push": {"history": attempt},
                    "$inc": {"retry_count": 1},
                },
            )


def _update(refusal: Refusal, subject: str, to: int, now: datetime) -> UpdateOne:
    meaning = _MEANINGS.get(refusal.code or 0, "MongoDB refused it")
    first = {
        "timestamp": now,
        "original_payload": Binary(b""),
        "digest": _digest(refusal.document_id),
        "delivery_id": "",
        "headers": {},
        "reason": REASON,
        "retry_count": 0,
        "next_retry_at": None,
        "blocked_by": REASON,
        "blocked_at": now,
        "event_id": None,
        "event_type": subject,
        "verdict": None,
        "history": [],
    }
    last = {
        "status": PENDING_INSPECTION,
        "error_message": (
            f"document {refusal.document_id!r} could not be filled up to version {to}:"
            f" {meaning} (code {refusal.code}); remove the cause, then run"
            " `cxone-consumer schema backfill`"
        ),
        "document_id": refusal.document_id,
        "code": refusal.code,
        "to_version": to,
    }
    return UpdateOne(
        {"_id": entry_of(refusal.document_id)},
        {
            "$setOnInsert": first,
            "$set": last,
            "$max": {"last_seen": now},
            "$inc": {"seen": 1},
            # An entry that had ended is open again, and must not expire.
            "$unset": {"ended_at": "", "expires_at": ""},
        },
        upsert=True,
    )


def _digest(document_id: Any) -> str:
    return hashlib.sha256(bson.encode({"_id": document_id})).hexdigest()
