"""Read up to which version the documents of each subject are filled.

One beyond the subject's newest version shows that versions were lost, as where a backup was
restored.
"""

from __future__ import annotations

from collections.abc import Iterator

from pymongo import DESCENDING
from pymongo.collection import Collection

from consumer.mongodb.client import Document
from consumer.mongodb.deadline import unhurried
from consumer.mongodb.errors import translated

# Anybody can write anything into a document. This is what we write.
_NO_ARRAY = {"$not": {"$type": "array"}}
_NUMBER = {"$gt": 0, "$lt": 2**31, **_NO_ARRAY}
_NEWEST_FIRST = [("_meta.subject", DESCENDING), ("_meta.backfilled_to", DESCENDING)]
_STAMP = {"_id": 0, "_meta.subject": 1, "_meta.backfilled_to": 1}


class DocumentStamps:
    """The `events` collection; raises StoreUnavailable."""

    def __init__(self, events: Collection[Document]) -> None:
        self._events = events

    def newest(self) -> dict[str, int]:
        """The highest version that documents of each subject are filled to."""
        with translated(self._events.name), unhurried():
            return dict(self._newest())

    def newest_of(self, subject: str) -> int:
        """The same of one subject; 0 without documents."""
        with translated(self._events.name):
            return next((stamp for _, stamp in self._found({"$eq": subject})), 0)

    def most_positions(self, subject: str, beyond: int) -> int:
        """Least count of `fields` in versions beyond a number, as `_meta.filled` tells."""
        pipeline: list[Document] = [
            {"$match": {"_meta.subject": subject, "schema_version": {"$gt": beyond}}},
            {"$group": {"_id": None, "last": {"$max": {"$max": "$_meta.filled"}}}},
        ]
        with translated(self._events.name), unhurried():
            last = next((row["last"] for row in self._events.aggregate(pipeline)), None)
        return last + 1 if isinstance(last, int) else 0

    def _newest(self) -> Iterator[tuple[str, int]]:
        below: Document = {"$gte": ""}
        while True:
            found = next(self._found(below), None)
            if found is None:
                return
            yield found
            below = {"$gte": "", "$lt": found[0]}

    def _found(self, subject: Document) -> Iterator[tuple[str, int]]:
        """The highest subject that these conditions mean, with its highest stamp; nothing where
        there is none."""
        wanted = {"_meta.subject": {**subject, **_NO_ARRAY}, "_meta.backfilled_to": _NUMBER}
        found = self._events.find_one(wanted, _STAMP, sort=_NEWEST_FIRST)
        if found is not None:
            yield found["_meta"]["subject"], int(found["_meta"]["backfilled_to"])
