"""Keep what a backfill could not rewrite as dead letters: one for each subject and cause."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bson.binary import Binary
from pymongo import UpdateOne
from pymongo.collection import Collection as MongoCollection

from consumer.dead_letters.retry import PENDING_INSPECTION, RESOLVED, UNRESOLVED
from consumer.dead_letters.store import entry_id
from consumer.mongodb.errors import translated
from jobs.backfill.replace import CHANGED, Refusal

REASON = "migration_failed"
# A cause may have gone meanwhile, and nobody noticed.
AGAIN_AFTER = timedelta(days=1)

_COLLECTION = "dead_letter_queue"
_NAMED = 20
# Entries of before: one for each document.
_OF_ONE = {"document_id": {"$exists": True}}


@dataclass(slots=True)
class Cause:
    """Who refuses, with which code; how many `documents`, and the `_id`s of some."""

    culprit: str
    code: int | None
    documents: int = 0
    ids: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Causes:
    """The causes of all refusals of a pass over the documents of a subject."""

    of: dict[tuple[str, int | None], Cause] = field(default_factory=dict)

    @property
    def documents(self) -> int:
        return sum(cause.documents for cause in self.of.values())

    def add(self, refusals: Iterable[Refusal]) -> None:
        """Count the refusals, but for documents that only changed meanwhile."""
        for refusal in refusals:
            if refusal.code == CHANGED:
                continue
            key = (refusal.culprit, refusal.code)
            cause = self.of.setdefault(key, Cause(*key))
            cause.documents += 1
            if len(cause.ids) < _NAMED:
                cause.ids.append(refusal.document_id)


@dataclass(frozen=True, slots=True)
class Examined:
    """A pass over all documents of a subject that were behind version `to`: under which
    `constraints`, and `when`. From `after` on `recent` documents stayed behind; -1: nobody knows,
    for others came meanwhile."""

    to: int
    constraints: str
    when: datetime
    after: datetime
    recent: int


class MigrationFailures:
    """Entries with the reason `migration_failed`; every method raises StoreUnavailable.

    The documents themselves stand unharmed in `events`, so `original_payload` is empty.
    """

    def __init__(
        self, entries: MongoCollection[dict[str, Any]], retention: timedelta = timedelta(days=30)
    ) -> None:
        """`retention`: how long resolved entries are kept."""
        self._entries = entries
        self._retention = retention

    def examined(self, subject: str, to: int, constraints: str, now: datetime) -> Examined | None:
        """The last pass, where it tells how the next would end: nothing has changed since."""
        fields = dict.fromkeys(("to_version", "constraints", "last_seen", "after", "recent"), 1)
        wanted = {"reason": REASON, "event_type": subject, "status": {"$ne": RESOLVED}}
        with translated(_COLLECTION):
            entries = list(self._entries.find({**wanted, "documents": {"$exists": True}}, fields))
        for entry in entries:
            same = (entry["to_version"], entry["constraints"]) == (to, constraints)
            if not same or now - entry["last_seen"] >= AGAIN_AFTER:
                return None
        if not entries:
            return None
        last = entries[0]
        return Examined(to, constraints, last["last_seen"], last["after"], last["recent"])

    def keep(self, subject: str, causes: Causes, examined: Examined) -> None:
        """Keep an entry for each cause of a pass, and end all others of the subject."""
        ids = []
        updates: list[UpdateOne] = []
        for cause in causes.of.values():
            _id = _entry_of(subject, cause)
            ids.append(_id)
            # One that had ended is open again, and must not expire; one that somebody discarded
            # is what somebody knows of.
            again = {
                "$set": {"status": PENDING_INSPECTION},
                "$unset": {"ended_at": "", "expires_at": ""},
            }
            updates.append(UpdateOne({"_id": _id, "status": RESOLVED}, again))
            updates.append(_update(_id, subject, cause, examined))
        with translated(_COLLECTION):
            if updates:
                self._entries.bulk_write(updates)
        self._end({**_open(subject), **_OF_ONE}, "folded", examined.when)
        self._end({**_open(subject), "_id": {"$nin": ids}}, "filled", examined.when)

    def end_others(self, behind: Collection[str], now: datetime) -> None:
        """End the entries of subjects of which no document is behind any more."""
        with translated(_COLLECTION):
            for subject in self._entries.distinct("event_type", _open()):
                if subject not in behind:
                    self._end(_open(subject), "filled", now)

    def _end(self, wanted: dict[str, Any], result: str, now: datetime) -> None:
        ended = {
            "status": RESOLVED,
            "next_retry_at": None,
            "ended_at": now,
            "expires_at": now + self._retention,
        }
        attempt = {"at": now, "by": "backfill", "result": result}
        with translated(_COLLECTION):
            self._entries.update_many(
                wanted,
                {"$set": ended, "$push": {"history": attempt}, "$inc": {"retry_count": 1}},
            )


def _open(subject: str | None = None) -> dict[str, Any]:
    wanted = {"blocked_by": REASON, "status": {"$in": list(UNRESOLVED)}}
    return wanted if subject is None else {**wanted, "event_type": subject}


def _entry_of(subject: str, cause: Cause) -> str:
    text = json.dumps([subject, cause.culprit, cause.code])
    return entry_id(REASON, hashlib.sha256(text.encode()).hexdigest())


def _update(_id: str, subject: str, cause: Cause, examined: Examined) -> UpdateOne:
    first = {
        "timestamp": examined.when,
        "original_payload": Binary(b""),
        "digest": hashlib.sha256(_id.encode()).hexdigest(),
        "delivery_id": "",
        "headers": {},
        "reason": REASON,
        "status": PENDING_INSPECTION,
        "retry_count": 0,
        "next_retry_at": None,
        "blocked_by": REASON,
        "blocked_at": examined.when,
        "event_id": None,
        "event_type": subject,
        "verdict": None,
        "history": [],
    }
    last = {
        "error_message": (
            f"{cause.documents} documents could not be brought up to version {examined.to}, not"
            f" even without what is filled in: {cause.culprit} refuses them (code {cause.code})."
            " Remove the cause; the backfill tries again when an index or the validator changes,"
            " after a day, and at `cxone-consumer schema backfill`"
        ),
        "documents": cause.documents,
        "document_ids": cause.ids,
        "code": cause.code,
        "to_version": examined.to,
        "constraints": examined.constraints,
        "after": examined.after,
        "recent": examined.recent,
    }
    return UpdateOne(
        {"_id": _id},
        {
            "$setOnInsert": first,
            "$set": last,
            "$max": {"last_seen": examined.when},
            "$inc": {"seen": 1},
        },
        upsert=True,
    )
