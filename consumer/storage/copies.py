"""Count further copies of a delivery that is kept, and open its entry again where that has ended.

Whoever is answered that a delivery is kept must find it kept: an entry that has ended expires.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pymongo.collection import Collection

from consumer.retry_rules import DISCARDED, DUE_AT_FIRST, FIRST_STATUS, PENDING_INSPECTION, RESOLVED
from consumer.storage.claims import ENDED_FIELDS, pushed

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
