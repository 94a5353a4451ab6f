"""Find stored events for people: by their own id, or by subject, version and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import Decimal128
from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection

from consumer.events.documents import plain
from consumer.events.matching import read_value
from consumer.mongodb.client import RAW, Document
from consumer.mongodb.errors import translated

_AT = "processed_at"
_BY_SUBJECT = [
    ("_meta.subject", ASCENDING),
    ("_meta.backfilled_to", ASCENDING),
    ("schema_version", ASCENDING),
    (_AT, ASCENDING),
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


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Events to look for. `key` is an event's own id as a person types it; a `version` counts
    within a `subject`. Processed from `since` up to and with `until`; `skip` passes over so many of
    those at `until` itself, which were shown before."""

    key: str = ""
    subject: str = ""
    version: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class EventPage:
    """Rows of `_meta`, `schema_version` and `processed_at`, the last processed first. `partial`:
    older versions of the subject were not looked through."""

    rows: list[Document]
    partial: bool = False


class EventSearch:
    """The `events` collection, read through indexes alone; raises StoreUnavailable."""

    def __init__(self, events: Collection[Document]) -> None:
        self._events = events
        self._raw = events.with_options(codec_options=RAW)

    def page(self, wanted: EventFilter, limit: int) -> EventPage:
        """The newest events that are wanted."""
        with translated(self._events.name):
            if wanted.key:
                query = {"_meta.key": {"$in": read_value(wanted.key).in_bson()}, **_of(wanted)}
                return EventPage(self._rows(query, wanted, limit, None))
            if not wanted.subject:
                return EventPage(self._rows(_times(wanted), wanted, limit, None))
            runs = list(self._runs(wanted))
            if not runs:
                return EventPage([])
            # One scan of the index for each run, merged by time, so that nothing is sorted.
            query = {"$or": [{**run, **_times(wanted)} for run in runs[:_MOST_RUNS]]}
            rows = self._rows(query, wanted, limit, _BY_SUBJECT)
            return EventPage(rows, partial=len(runs) > _MOST_RUNS)

    def one(self, _id: str) -> Document | None:
        """The document with this `_id`; its numbers are Python's, and nothing in it is decoded to
        more than it is."""
        with translated(self._events.name):
            found = self._raw.find_one({"_id": _id})
            return None if found is None else {k: _json(plain(v)) for k, v in found.items()}

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

    def _rows(
        self, query: Document, wanted: EventFilter, limit: int, hint: list[tuple[str, int]] | None
    ) -> list[Document]:
        found = self._events.find(query, _ROW, hint=hint).sort(_AT, DESCENDING)
        return list(found.skip(wanted.skip).limit(limit))

    def _runs(self, wanted: EventFilter) -> Iterator[Document]:
        """Runs of the index with events of the subject, by what they were filled to and stamped
        with, the newest first; each costs the server a step in the index."""
        subject = {"_meta.subject": wanted.subject}
        filled = sorted(self._events.distinct("_meta.backfilled_to", subject), reverse=True)
        remaining = _MOST_RUNS + 1
        for upto in filled[:remaining]:
            run = {**subject, "_meta.backfilled_to": upto}
            stamped = self._events.distinct("schema_version", run)
            for version in sorted(stamped, reverse=True):
                if wanted.version in (None, version):
                    yield {**run, "schema_version": version}
                    remaining -= 1
                    if not remaining:
                        return


def _of(wanted: EventFilter) -> Document:
    found = _times(wanted)
    if wanted.subject:
        found["_meta.subject"] = wanted.subject
        if wanted.version is not None:
            found["schema_version"] = wanted.version
    return found


def _times(wanted: EventFilter) -> Document:
    bounds = {"$gte": wanted.since, "$lte": wanted.until}
    given = {name: at for name, at in bounds.items() if at is not None}
    # Whoever can write to MongoDB can put any document there: those of ours have a date.
    return {_AT: given or {"$type": "date"}}


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_json(child) for child in value]
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return int(number) if number.is_finite() and number == int(number) else str(value)
    return value
