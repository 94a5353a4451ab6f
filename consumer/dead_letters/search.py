"""Find dead letters: for people by reason, status, type and time, for approvals those held."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from consumer.core.delivery import MAIN
from consumer.core.errors import ContractHold
from consumer.dead_letters.claims import WELL_FORMED
from consumer.dead_letters.retry import HELD, UNRESOLVED
from consumer.events.search import shortened
from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated

_BY_REASON = [
    ("reason", ASCENDING),
    ("status", ASCENDING),
    ("last_seen", ASCENDING),
    ("timestamp", ASCENDING),
]
# What a list shows. Ids and types come from outside, and may be nearly as long as a body.
_PLAIN = ("source", "reason", "status", "seen", "last_seen", "next_retry_at")
_SHORTENED = ("event_id", "event_type", "error_message", "diagnosis")
_ROW: Document = {
    **dict.fromkeys(_PLAIN, 1),
    **{name: shortened(f"${name}") for name in _SHORTENED},
}
# For programs a list has all but what is large.
_LARGE = ("original_payload", "edited_payload", "headers", "history", "changes")
_WITH_BYTES: Document = {
    "bytes": {"$binarySize": "$original_payload"},
    **{name: shortened(f"${name}") for name in (*_SHORTENED, "discarded_because")},
}
# Of entries that fit, so many are grouped by their cause: the last seen ones.
MOST_GROUPED = 5000
# What differs between messages of one cause: numbers, and what is quoted.
_VARIES = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")
# Entries read at once: each may be as large as a body.
_CHUNK = 20
# Not the reason for which an entry was made: a delivery that once was refused for something else,
# and corrected since, may wait for a contract now.
_WAITING = {"blocked_by": ContractHold.reason, "status": HELD}


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """The conditions of a search; empty: any. Last seen from `since` up to and with `until`, and
    first seen up to and with `first_until`; `ids`: of these alone."""

    reason: str = ""
    statuses: tuple[str, ...] = ()
    event_type: str = ""
    since: datetime | None = None
    until: datetime | None = None
    first_until: datetime | None = None
    source: str = ""
    ids: tuple[str, ...] = ()

    def query(self) -> Document:
        found: Document = {"_id": {"$in": list(self.ids)}} if self.ids else {}
        if self.reason:
            found["reason"] = self.reason
        if self.statuses:
            found["status"] = {"$in": list(self.statuses)}
        if self.event_type:
            found["event_type"] = self.event_type
        if self.source:
            found["source"] = None if self.source == MAIN else self.source
        bounds = {"$gte": self.since, "$lte": self.until}
        if given := {name: at for name, at in bounds.items() if at is not None}:
            found["last_seen"] = given
        if self.first_until is not None:
            found["timestamp"] = {"$lte": self.first_until}
        return found

    def takes(self, reason: str, status: str) -> bool:
        """True where entries of this reason and status may be among them."""
        return self.reason in ("", reason) and (not self.statuses or status in self.statuses)


@dataclass(frozen=True, slots=True)
class Cause:
    """Entries alike in reason, status and message, but for numbers in it and what it quotes:
    `key` tells it from others, `message` is that of the last seen one, `ids` has the last seen
    first; `seen` counts copies. They came from `oldest` on, and were seen last from `least` to
    `newest`."""

    key: str
    reason: str
    status: str
    message: str
    types: list[str]
    oldest: datetime
    least: datetime
    newest: datetime
    seen: int
    ids: list[str]


class DeadLetterSearch:
    """Searches of the collection `dead_letter_queue`; raises StoreUnavailable.

    `groups` are reasons and statuses that are wanted, of those that there are: an index is scanned
    once for each, merged by time, so that nothing is sorted.
    """

    def __init__(self, entries: Collection[Document]) -> None:
        self._entries = entries

    def newest(
        self, query: Document, groups: Iterable[tuple[str, str]], limit: int
    ) -> list[Document]:
        """Entries that match, the last seen first, for a list: without what is large, with the
        `bytes` of their bodies, and texts from outside cut."""
        return self._last_seen(
            query, groups, limit, {"$set": _WITH_BYTES}, {"$unset": list(_LARGE)}
        )

    def rows(self, ids: Sequence[str]) -> dict[str, Document]:
        """These entries as a list shows them, without their bodies, by `_id`."""
        with translated(self._entries.name):
            found = self._entries.find({"_id": {"$in": list(ids)}}, _ROW)
            return {entry["_id"]: entry for entry in found}

    def causes(
        self, query: Document, groups: Iterable[tuple[str, str]], most: int = MOST_GROUPED
    ) -> list[Cause]:
        """Entries that match, the last seen ones, by what a diagnosis or else the error says; the
        cause that was seen last comes first."""
        of_one = {
            "_id": {"reason": "$reason", "status": "$status", "message": shortened("$message")},
            "entries": {"$push": {"at": "$last_seen", "id": "$_id"}},
            "types": {"$addToSet": shortened("$event_type")},
            "seen": {"$sum": "$seen"},
            "oldest": {"$min": "$timestamp"},
            "newest": {"$max": "$last_seen"},
        }
        message = {"$ifNull": ["$diagnosis", "$error_message"]}
        named = ("reason", "status", "seen", "timestamp", "last_seen", "event_type")
        kept = dict.fromkeys(named, 1)
        found = self._last_seen(
            query, groups, most, {"$project": {**kept, "message": message}},
            {"$group": of_one}, {"$sort": {"newest": DESCENDING, "_id": ASCENDING}},
        )  # fmt: skip
        alike: dict[tuple[str, str, str], list[Document]] = {}
        for row in found:
            of = row["_id"]
            says = _VARIES.sub("", str(of.get("message")))
            alike.setdefault((of["reason"], of["status"], says), []).append(row)
        return [_cause(key, rows) for key, rows in alike.items()]

    def _last_seen(
        self, query: Document, groups: Iterable[tuple[str, str]], limit: int, *further: Document
    ) -> list[Document]:
        runs = [{"reason": reason, "status": status} for reason, status in groups]
        if not runs:
            return []
        pipeline: list[Document] = [
            {"$match": {"$or": [{**WELL_FORMED, **query, **run} for run in runs]}},
            {"$sort": {"last_seen": DESCENDING}},
            {"$limit": limit},
            *further,
        ]
        with translated(self._entries.name):
            try:
                return list(self._entries.aggregate(pipeline, hint=dict(_BY_REASON)))
            except OperationFailure:
                # The index is not there yet: sorted then, which costs.
                return list(self._entries.aggregate(pipeline))

    def one(self, _id: str) -> Document | None:
        """A whole entry."""
        with translated(self._entries.name):
            return self._entries.find_one({"_id": _id})

    def of_event(self, _id: str, limit: int) -> list[Document]:
        """Entries that became an event, the first one first, without their bodies."""
        with translated(self._entries.name):
            found = self._entries.find({"resolved_by": _id}, {**_ROW, "history": 1, "timestamp": 1})
            return sorted(found.limit(limit), key=lambda entry: entry["timestamp"])

    def sources(self, ids: Sequence[str]) -> list[str]:
        """The sources, beside the main one, by which these entries came."""
        query = {"_id": {"$in": list(ids)}, "source": {"$type": "string"}}
        with translated(self._entries.name):
            return sorted(self._entries.distinct("source", query))

    def counts(self, wanted: DeadLetterFilter) -> list[tuple[str, str, int]]:
        """Reason, status and count of the entries that match, the most first."""
        # An index serves a grouping only where there is a condition or an order on it.
        query = {"reason": {"$gte": ""}, **wanted.query()}
        pipeline: list[Document] = [
            {"$match": query},
            {
                "$group": {
                    "_id": {"reason": "$reason", "status": "$status"},
                    "count": {"$sum": 1},
                }
            },
            {"$sort": {"count": DESCENDING, "_id": ASCENDING}},
        ]
        with translated(self._entries.name):
            return [
                (row["_id"]["reason"], row["_id"]["status"], int(row["count"]))
                for row in self._entries.aggregate(pipeline)
            ]

    def waiting(self, event_type: str | None) -> list[tuple[str, int]]:
        """The reasons for which entries of an event type wait (None: of all), and how many do, the
        most first; reads an index alone."""
        of_type = {} if event_type is None else {"event_type": event_type}
        wanted = {"blocked_by": {"$gte": ""}, "status": {"$in": list(UNRESOLVED)}, **of_type}
        pipeline: list[Document] = [
            {"$match": wanted},
            {"$group": {"_id": "$blocked_by", "count": {"$sum": 1}}},
            {"$sort": {"count": DESCENDING, "_id": ASCENDING}},
        ]
        with translated(self._entries.name):
            return [(row["_id"], row["count"]) for row in self._entries.aggregate(pipeline)]

    def following(self, wanted: DeadLetterFilter, after: str, limit: int) -> list[str]:
        """`_id`s of entries that are wanted, in order of `_id` beyond `after`: whoever goes on from
        the last one meets each once, whatever becomes of them meanwhile."""
        query = wanted.query()
        query["_id"] = {**query.get("_id", {}), "$gt": after}
        with translated(self._entries.name):
            found = self._entries.find(query, {"_id": 1}).sort("_id", ASCENDING).limit(limit)
            return [entry["_id"] for entry in found]


def _cause(alike: tuple[str, str, str], rows: list[Document]) -> Cause:
    """The cause of these rows, that of the last seen one first."""
    reason, status, _ = alike
    listed = ((each["at"], each["id"]) for row in rows for each in row["entries"])
    entries = sorted(listed, reverse=True)
    return Cause(
        key=hashlib.sha256(repr(alike).encode()).hexdigest()[:16],
        reason=reason,
        status=status,
        message=str(rows[0]["_id"].get("message", "")),
        types=sorted({str(name) for row in rows for name in row["types"] if name is not None}),
        oldest=min(row["oldest"] for row in rows),
        least=entries[-1][0],
        newest=rows[0]["newest"],
        seen=sum(row["seen"] for row in rows),
        ids=[_id for _, _id in entries],
    )


class HeldDeadLetters:
    """The entries of `dead_letter_queue` that a contract holds; raises StoreUnavailable.

    Ids first, entries later and in small lots: so that neither memory nor the life of a cursor
    grows with what is held, and an entry that is resolved meanwhile is passed over.
    """

    def __init__(self, entries: Collection[Document]) -> None:
        self._entries = entries

    def of(self, event_type: str | None) -> Iterator[Document]:
        """The entries held of an event type, and of types not known; None: of all."""
        wanted: Document = dict(_WAITING)
        if event_type is not None:
            wanted["event_type"] = {"$in": [event_type, None]}
        with translated(self._entries.name):
            found = list(self._entries.find(wanted, {"_id": 1, "timestamp": 1}))
        # Sorted here: a sweep that runs meanwhile moves entries within every index there is.
        ids = [entry["_id"] for entry in sorted(found, key=lambda e: (e["timestamp"], e["_id"]))]
        yield from self.read(ids)

    def read(self, ids: Sequence[str]) -> Iterator[Document]:
        """Those of these entries that are held still, in this order."""
        left = iter(ids)
        while chunk := list(islice(left, _CHUNK)):
            with translated(self._entries.name):
                found = self._entries.find({"_id": {"$in": chunk}, **_WAITING})
                entries: Mapping[str, Document] = {entry["_id"]: entry for entry in found}
            yield from (entries[_id] for _id in chunk if _id in entries)

    def counts(self) -> dict[str | None, int]:
        """The number of entries held, by event type; reads an index alone."""
        pipeline: list[Document] = [
            {"$match": _WAITING},
            {"$group": {"_id": "$event_type", "count": {"$sum": 1}}},
        ]
        with translated(self._entries.name):
            return {row["_id"]: row["count"] for row in self._entries.aggregate(pipeline)}
