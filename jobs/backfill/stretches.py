"""Fill the usual documents of a stamp by stretches of the index, each with one plain update.

Looking up each document of a batch by its `_id` took MongoDB a third as long as filling it. What is
not as usual, and what a refusal of another one left, keeps its stamp and is filled by its `_id`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pymongo.collection import Collection
from pymongo.errors import WriteError

from consumer.mongodb.client import Document
from consumer.mongodb.deadline import soon
from consumer.mongodb.errors import translated
from consumer.mongodb.indexes import BY_STAMP
from jobs.backfill.updates import Usual

# Whoever can write to MongoDB can put any date there; those before year 1 are left.
_DATES: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
_FIRST = DatetimeMS(datetime(1, 1, 1, tzinfo=timezone.utc))


class Stretches:
    """The documents of a subject that carry a stamp, by stretches; all methods raise
    StoreUnavailable. `check` is given the code of a refusal."""

    def __init__(
        self, events: Collection[Document], stamped: Document, check: Callable[[int | None], None]
    ) -> None:
        self._events = events.with_options(codec_options=_DATES)
        self._stamped = stamped
        self._check = check

    def each(self, size: Callable[[], int]) -> Iterator[Document]:
        """The query for each in the order of the index, of `size` documents at most. Where more
        than that were processed in one moment the rest of their version is passed over."""
        version = self._next({}, "schema_version", -math.inf)
        while isinstance(version, int | float):
            start: Any = _FIRST
            while isinstance(start, DatetimeMS):
                at = {"schema_version": version}
                end = self._next(at, "processed_at", start, skip=size())
                if end == start:
                    break
                until = {} if end is None else {"$lt": end}
                yield {**self._stamped, **at, "processed_at": {"$gte": start, **until}}
                start = end
            version = self._next({}, "schema_version", version, "$gt")

    def fill(self, stretch: Document, usual: Usual) -> int:
        """Fill what is usual in a stretch, until one of its documents is refused; how many were."""
        with self._patiently():
            before = self._events.count_documents(stretch, hint=BY_STAMP)
            try:
                return self._events.update_many(
                    {**stretch, **usual.query}, {"$set": usual.values}, hint=BY_STAMP
                ).modified_count
            except WriteError as error:
                self._check(error.code)
                # What the command did before it ended, it does not tell.
                return before - self._events.count_documents(stretch, hint=BY_STAMP)

    def _next(
        self, above: Document, key: str, start: Any, by: str = "$gte", skip: int = 0
    ) -> Any | None:
        with self._patiently():
            found = self._events.find_one(
                {**self._stamped, **above, key: {by: start}},
                {key: 1, "_id": 0},
                sort=[(key, 1)],
                skip=skip,
                hint=BY_STAMP,
            )
        return found.get(key) if found else None

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        with translated("events"), soon(self._events):
            yield
