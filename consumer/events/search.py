"""Find stored events for people: by id, subject, version, time, and a value in their payload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from bson import Decimal128
from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection

from consumer.events.documents import plain
from consumer.events.matching import Condition, clauses_of, read_value
from consumer.mongodb.client import RAW, Document
from consumer.mongodb.errors import translated

_AT = "processed_at"
_BY_SUBJECT = [
    ("_meta.subject", ASCENDING),
    ("_meta.backfilled_to", ASCENDING),
    ("schema_version", ASCENDING),
    (_AT, ASCENDING),
]
_BY_TIME = [
    (_AT, ASCENDING),
    ("_meta.subject", ASCENDING),
    ("schema_version", ASCENDING),
    ("_meta.exhibited_version", ASCENDING),
]
# Characters that a row has of a text from outside.
_MOST_TEXT = 300


def shortened(path: str) -> Document:
    """The expression for a value of which a text is cut; an absent one stays absent."""
    begin = {"$substrCP": [path, 0, _MOST_TEXT]}
    return {"$cond": [{"$eq": [{"$type": path}, "string"]}, begin, path]}


_ROW: Document = {
    "_meta.subject": shortened("$_meta.subject"),
    # An id may be nearly as long as its event.
    "_meta.key": shortened("$_meta.key"),
    "_meta.exhibited_version": 1,
    "_meta.source": 1,
    "schema_version": 1,
    _AT: 1,
}
# So many runs of the index are merged by time. A backfill leaves one for each version that events
# were stamped with, so this is what a subject has after as many versions.
_MOST_RUNS = 100
# What no index finds is looked for among so many of the newest; of those that a query finds, so
# many are looked at themselves.
MOST_LOOKED_AT = 10_000
_MOST_READ = 1000
# Of subjects that are more, the index of times is read.
_FEW_SUBJECTS = 3
# Ids with the same beginning that are put in order of time.
_MOST_ALIKE = 1000
# Hex digits from which on a text is taken for the beginning of an `_id`.
_SHORTEST = 4
_END = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Events to look for. `key` is an event's own id as a person types it, or with `begins` its
    beginning, or that of its `_id`. They are of any of the `subjects`, if there are any; a
    `version` counts within one. Processed from `since` up to and with `until`; `skip` passes over
    so many of those at `until` itself, which were shown before. `condition`: on the payload."""

    key: str = ""
    subjects: tuple[str, ...] = ()
    version: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    skip: int = 0
    begins: bool = False
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Rows of `_meta`, `schema_version` and `processed_at`, the last processed first. `partial`:
    not all that may fit were looked through. `back_to`: no event up to and with this time was."""

    rows: list[Document]
    partial: bool = False
    back_to: datetime | None = None


class EventSearch:
    """The `events` collection, read through indexes alone; raises StoreUnavailable."""

    def __init__(self, events: Collection[Document]) -> None:
        self._events = events
        self._raw = events.with_options(codec_options=RAW)

    def page(
        self,
        wanted: EventFilter,
        limit: int,
        payload: Callable[[Document], Any] = lambda document: document,
    ) -> EventPage:
        """The newest events that are wanted. A `condition` is tried on what `payload` makes of a
        document, so that nothing is found by what is not shown."""
        with translated(self._events.name):
            if wanted.key:
                query = {"_meta.key": {"$in": read_value(wanted.key).in_bson()}, **_of(wanted)}
                found = self._looked(wanted, limit, query, None, payload)
                if found.rows or wanted.condition or not wanted.begins:
                    return found
                alike = self.beginning(wanted.key, _MOST_ALIKE + 1, _of(wanted))
                rows = alike[wanted.skip : wanted.skip + limit]
                return EventPage(rows, partial=len(alike) > _MOST_ALIKE)
            if not 0 < len(wanted.subjects) <= _FEW_SUBJECTS:
                return self._looked(wanted, limit, _times(wanted), _BY_TIME, payload)
            runs = list(islice(self._runs(wanted), _MOST_RUNS + 1))
            if not runs:
                return EventPage([])
            # One scan of the index for each run, merged by time, so that nothing is sorted.
            query = {"$or": [{**run, **_times(wanted)} for run in runs[:_MOST_RUNS]]}
            found = self._looked(wanted, limit, query, _BY_SUBJECT, payload)
            return replace(found, partial=len(runs) > _MOST_RUNS)

    def one(self, _id: str) -> Document | None:
        """The document with this `_id`; its numbers are Python's, and nothing in it is decoded to
        more than it is."""
        with translated(self._events.name):
            found = self._raw.find_one({"_id": _id})
            return None if found is None else {k: as_python(plain(v)) for k, v in found.items()}

    def beginning(
        self, text: str, most: int, further: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """Rows of events whose own id, or else their `_id`, is this text or begins with it, the
        last processed first: of those that begin so `most` are looked at, of equal ones too. They
        match `further` as well."""
        begins = {"$gte": text, "$lt": text + _END}
        asked: list[Document] = [
            {"_id": text},
            {"_meta.key": {"$in": read_value(text).in_bson()}},
            {"_meta.key": begins},
        ]
        if len(text) >= _SHORTEST and set(text) <= set("0123456789abcdef"):
            asked.append({"_id": begins})
        found: dict[Any, Document] = {}
        with translated(self._events.name):
            for query in asked:
                # Others may have put documents there that have no time, nor anything of ours.
                rows = self._events.find({**(further or {}), **query}, _ROW)
                # In the order of the index that has the ids, so that no other is read.
                rows = rows.sort(next(iter(query)), ASCENDING).limit(most)
                found |= {row["_id"]: row for row in rows if _is_ours(row)}
        return sorted(found.values(), key=lambda row: row[_AT], reverse=True)

    def first(self, subject: str, version: int, key: str) -> str | None:
        """The `_id` of the first event of a subject that exhibits a version, of those whose own id
        is `key` as text."""
        wanted = {
            "_meta.key": {"$in": read_value(key).in_bson()},
            "_meta.subject": subject,
            "_meta.exhibited_version": {"$gte": version},
        }
        with translated(self._events.name):
            found = self._events.find_one(wanted, {"_id": 1}, sort=[(_AT, ASCENDING)])
            return None if found is None else str(found["_id"])

    def _looked(
        self,
        wanted: EventFilter,
        limit: int,
        query: Document,
        hint: list[tuple[str, int]] | None,
        payload: Callable[[Document], Any],
    ) -> EventPage:
        """A page of those in the order of an index; what is in none is looked for in part."""
        more: Document = {}
        if wanted.subjects and hint is _BY_TIME:
            more = _of(replace(wanted, since=None, until=None))
        if wanted.condition is not None and (found := clauses_of(wanted.condition)):
            more["$and"] = found
        if not more and wanted.condition is None:
            return EventPage(self._rows(query, wanted, limit, hint))
        # Read from the index alone.
        cursor = self._events.find(query, {_AT: 1, "_id": 0}, hint=hint).sort(_AT, DESCENDING)
        last = next(iter(cursor.skip(wanted.skip + MOST_LOOKED_AT).limit(1)), None)
        back_to = None if last is None else last[_AT]
        if back_to is not None:
            more[_AT] = {"$gt": back_to}
        query = {"$and": [query, more]}
        if wanted.condition is None:
            return EventPage(self._rows(query, wanted, limit, hint), back_to=back_to)
        ids: list[Any] = []
        cursor = self._raw.find(query, hint=hint).sort(_AT, DESCENDING).skip(wanted.skip)
        for count, raw in enumerate(cursor.limit(_MOST_READ), start=1):
            document = {name: as_python(plain(value)) for name, value in raw.items()}
            if wanted.condition.holds(payload(document)):
                ids.append(document["_id"])
            if len(ids) == limit:
                break
            if count == _MOST_READ:
                back_to = document[_AT]
        rows = self._events.find({"_id": {"$in": ids}}, _ROW).sort(_AT, DESCENDING)
        return EventPage(list(rows), back_to=back_to)

    def _rows(
        self, query: Document, wanted: EventFilter, limit: int, hint: list[tuple[str, int]] | None
    ) -> list[Document]:
        found = self._events.find(query, _ROW, hint=hint).sort(_AT, DESCENDING)
        return list(found.skip(wanted.skip).limit(limit))

    def _runs(self, wanted: EventFilter) -> Iterator[Document]:
        """Runs of the index with events of the subjects, by what they were filled to and stamped
        with, the newest first; each costs the server a step in the index."""
        for name in wanted.subjects:
            subject = {"_meta.subject": name}
            filled = sorted(self._events.distinct("_meta.backfilled_to", subject), reverse=True)
            for upto in filled[: _MOST_RUNS + 1]:
                run = {**subject, "_meta.backfilled_to": upto}
                stamped = self._events.distinct("schema_version", run)
                for version in sorted(stamped, reverse=True):
                    if wanted.version in (None, version):
                        yield {**run, "schema_version": version}


def _is_ours(row: Document) -> bool:
    return isinstance(row.get(_AT), datetime) and isinstance(row.get("_meta"), dict)


def _of(wanted: EventFilter) -> Document:
    found = _times(wanted)
    if wanted.subjects:
        found["_meta.subject"] = {"$in": list(wanted.subjects)}
        if wanted.version is not None:
            found["schema_version"] = wanted.version
    return found


def _times(wanted: EventFilter) -> Document:
    bounds = {"$gte": wanted.since, "$lte": wanted.until}
    given = {name: at for name, at in bounds.items() if at is not None}
    # Whoever can write to MongoDB can put any document there: those of ours have a date.
    return {_AT: given or {"$type": "date"}}


def as_python(value: Any) -> Any:
    """The value with Python's numbers."""
    if isinstance(value, dict):
        return {key: as_python(child) for key, child in value.items()}
    if isinstance(value, list):
        return [as_python(child) for child in value]
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return int(number) if number.is_finite() and number == int(number) else str(value)
    return value
