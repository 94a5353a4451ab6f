"""Find the deliveries that wait for a contract, in the order they came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pymongo.collection import Collection

from consumer.errors import ContractHold
from consumer.retry_rules import HELD
from consumer.storage.translate import translated

Entry = dict[str, Any]

# Entries read at once: each may be as large as a body.
_CHUNK = 20
# Not the reason for which an entry was made: a delivery that once was refused for something else,
# and corrected since, may wait for a contract now.
_WAITING = {"blocked_by": ContractHold.reason, "status": HELD}


class HeldLetters:
    """The entries of `dead_letter_queue` that a contract holds; raises StoreUnavailable.

    Ids first, entries later and in small lots: so that neither memory nor the life of a cursor
    grows with what is held, and an entry that is settled meanwhile is passed over.
    """

    def __init__(self, entries: Collection[Entry]) -> None:
        self._entries = entries

    def of(self, event_type: str | None) -> Iterator[Entry]:
        """What is held of an event type, and of types not known; None: of all."""
        wanted: Entry = dict(_WAITING)
        if event_type is not None:
            wanted["event_type"] = {"$in": [event_type, None]}
        with translated(self._entries.name):
            found = list(self._entries.find(wanted, {"_id": 1, "timestamp": 1}))
        # Sorted here: a sweep that runs meanwhile moves entries within every index there is.
        ids = [entry["_id"] for entry in sorted(found, key=lambda e: (e["timestamp"], e["_id"]))]
        yield from self.read(ids)

    def read(self, ids: Sequence[str]) -> Iterator[Entry]:
        """Those of these entries that are held still, in this order."""
        left = iter(ids)
        while chunk := list(islice(left, _CHUNK)):
            with translated(self._entries.name):
                found = self._entries.find({"_id": {"$in": chunk}, **_WAITING})
                entries: Mapping[str, Entry] = {entry["_id"]: entry for entry in found}
            yield from (entries[_id] for _id in chunk if _id in entries)

    def counts(self) -> dict[str | None, int]:
        """How many are held, by event type; reads an index alone."""
        pipeline: list[Entry] = [
            {"$match": _WAITING},
            {"$group": {"_id": "$event_type", "count": {"$sum": 1}}},
        ]
        with translated(self._entries.name):
            return {row["_id"]: row["count"] for row in self._entries.aggregate(pipeline)}
