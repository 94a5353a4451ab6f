"""Requeue dead letters once what they wait for has changed: a secret, setting, index or schema."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from pymongo.collection import Collection as MongoCollection

from consumer.core.errors import ConsumerError, Held, Rejected, SignatureError
from consumer.dead_letters.retry import HELD, PARKED
from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated

MIGRATION_FAILED = "migration_failed"

# Groups looked at in one go; what is beyond waits for the next.
_MAX_GROUPS = 10_000


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """Entries that wait for the same: `tried_with` is the fingerprint of the conditions they were
    last tried under, None when they were not tried since they came."""

    blocked_by: str
    event_type: str | None
    tried_with: str | None


class Requeue:
    """Makes entries of `dead_letter_queue` due by what they wait for; raises StoreUnavailable."""

    def __init__(self, entries: MongoCollection[Document]) -> None:
        self._entries = entries

    def groups(self, reasons: Collection[str], statuses: Sequence[str]) -> list[WaitingGroup]:
        """The groups there are; reads an index alone."""
        pipeline: list[Document] = [
            {
                "$match": {
                    "blocked_by": {"$in": sorted(reasons)},
                    "status": {"$in": list(statuses)},
                }
            },
            {"$group": {"_id": {"b": "$blocked_by", "t": "$event_type", "w": "$tried_with"}}},
            {"$limit": _MAX_GROUPS},
        ]
        with translated(self._entries.name):
            found = [row["_id"] for row in self._entries.aggregate(pipeline)]
        return [WaitingGroup(key["b"], key.get("t"), key.get("w")) for key in found]

    def make_due(
        self,
        group: WaitingGroup,
        statuses: Sequence[str],
        conditions: str,
        before: datetime | None = None,
        constraints: str = "",
    ) -> int:
        """Let the sweep try these entries once under `conditions` (a fingerprint): all, or those
        blocked before a time or under other `constraints`. Parked ones are held then. Returns
        their number."""
        wanted = _of(group, statuses)
        if before is not None:
            # One that came and went between two looks shows in the entry alone.
            other = {"constraints": {"$exists": True, "$ne": constraints}}
            wanted["$or"] = [{"blocked_at": {"$lt": before}}, other]
        status = {"$cond": [{"$eq": ["$status", PARKED]}, HELD, "$status"]}
        changed = {"tried_with": conditions, "next_retry_at": "$$NOW", "status": status}
        return self._set(wanted, changed)

    def mark_tried(self, group: WaitingGroup, statuses: Sequence[str], conditions: str) -> int:
        """Record that these came under `conditions`, so that they need not be tried; their
        number."""
        return self._set(_of(group, statuses), {"tried_with": conditions})

    def _set(self, wanted: Document, changed: Document) -> int:
        with translated(self._entries.name):
            return self._entries.update_many(wanted, [{"$set": changed}]).modified_count


def _of(group: WaitingGroup, statuses: Sequence[str]) -> Document:
    return {
        "blocked_by": group.blocked_by,
        "status": {"$in": list(statuses)},
        "event_type": group.event_type,
        "tried_with": group.tried_with,
    }


def reasons() -> set[str]:
    """The reasons that an entry can have."""
    found = {MIGRATION_FAILED}
    kinds: list[type[ConsumerError]] = [SignatureError, Rejected, Held]
    for kind in kinds:
        # It grows while it is gone through.
        kinds += kind.__subclasses__()
        found |= {kind.reason} - {ConsumerError.reason}
    return found
