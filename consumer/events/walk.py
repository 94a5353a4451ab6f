"""Walk through stored events in order of time, by windows of bounded cost, whatever is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection

from consumer.events.documents import plain
from consumer.mongodb.client import RAW, Document
from consumer.mongodb.errors import translated

_AT = "processed_at"
BY_TIME = [
    (_AT, ASCENDING),
    ("_meta.subject", ASCENDING),
    ("schema_version", ASCENDING),
    ("_meta.exhibited_version", ASCENDING),
]
# Events of a window; those of one millisecond are in one, however many.
WINDOW = 2000
# MongoDB keeps no shorter times.
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The events of a span of time that are wanted, in order; `upto`: where the next one begins."""

    events: Iterator[Document]
    upto: datetime


class EventWalk:
    """The `events` collection, read along the index of time; raises StoreUnavailable."""

    def __init__(self, events: Collection[Document], window: int = WINDOW) -> None:
        self._events = events
        self._raw = events.with_options(codec_options=RAW)
        self._window = window

    def first(self, start: datetime) -> datetime | None:
        """The time of the first event from `start` on."""
        return self._beyond({"$gte": start}, ASCENDING, 0)

    def forward(self, wanted: Document, start: datetime, end: datetime) -> Iterator[Window]:
        """Windows of `start` <= processed_at < `end`, the oldest first, by `processed_at` and then
        `_id`. Each is to be read before the next."""
        while start < end:
            bounds = {"$gte": start, "$lt": end}
            upto = self._beyond(bounds, ASCENDING) or end
            if upto == start:
                upto += _TICK
            bounds["$lt"] = upto
            yield Window(self._read({**wanted, _AT: bounds}, ASCENDING), upto)
            start = upto

    def backward(
        self, wanted: Document, since: datetime, until: datetime | None
    ) -> Iterator[Window]:
        """The same from `until` (None: the newest) down to and with `since`, the newest first."""
        bounds: dict[str, Any] = {"$gte": since}
        if until is not None:
            bounds["$lte"] = until
        while True:
            last = self._beyond(bounds, DESCENDING)
            if last is None:
                yield Window(self._read({**wanted, _AT: bounds}, DESCENDING), since)
                return
            if last == bounds.get("$lte"):
                last -= _TICK
            inside = {**bounds, "$gt": last}
            yield Window(self._read({**wanted, _AT: inside}, DESCENDING), last)
            bounds["$lte"] = last

    def _beyond(
        self, bounds: Document, direction: int, passed: int | None = None
    ) -> datetime | None:
        """The time of the first event beyond a window; read from the index alone."""
        with translated(self._events.name):
            found = list(
                self._events.find({_AT: dict(bounds)}, {"_id": 0, _AT: 1}, hint=BY_TIME)
                .sort(_AT, direction)
                .skip(self._window if passed is None else passed)
                .limit(1)
            )
        at: datetime | None = found[0][_AT] if found else None
        return at

    def _read(self, query: Document, direction: int) -> Iterator[Document]:
        with translated(self._events.name):
            found = self._raw.find(query, hint=BY_TIME, batch_size=100)
            # Whole events of a window may be more than the server sorts in memory.
            for each in found.sort([(_AT, direction), ("_id", direction)]).allow_disk_use(True):
                yield plain(each)
