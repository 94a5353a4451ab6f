"""Count the events that came in a span of time, from the indexes alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout

from consumer.core.clock import EPOCH
from consumer.mongodb.client import Document
from consumer.mongodb.deadline import unhurried
from consumer.mongodb.errors import translated
from consumer.mongodb.indexes import UNFILLED

Unit = Literal["slice", "hour"]

# Milliseconds. Requests wait less, but the first count after months may read millions of keys.
_COUNT_TIMEOUT = 600_000
_BACKLOG_TIMEOUT = 20_000
_BINS: dict[Unit, Document] = {
    "slice": {"unit": "minute", "binSize": 5},
    "hour": {"unit": "hour"},
}


@dataclass(frozen=True, slots=True)
class Group:
    """The number of documents that share subject, version, exhibited version and the slice or hour
    that begins `at`."""

    at: datetime
    subject: str
    version: int
    exhibited: int
    count: int


class AdoptionEvents:
    """The `events` collection as adoption counts it; every method raises StoreUnavailable.

    Documents of version 0 (unregistered subjects) and documents that are not ours are left out.
    """

    def __init__(self, events: Collection[Document]) -> None:
        self._name = events.name
        self._events = events

    def first(self, start: datetime = EPOCH) -> datetime | None:
        """The time at which the first event from `start` on was processed."""
        with translated(self._name), unhurried():
            found = self._events.find_one(
                {"processed_at": {"$gte": start}},
                {"processed_at": 1, "_id": 0},
                sort=[("processed_at", 1)],
                max_time_ms=_COUNT_TIMEOUT,
            )
        if found is None:
            return None
        at = found["processed_at"]
        # Whoever can write to MongoDB can put any document there; it must not end the count.
        return at if isinstance(at, datetime) else _earliest(at, start)

    def count(self, start: datetime, end: datetime | None, unit: Unit) -> list[Group]:
        """Documents with `start` <= processed_at < `end`; without an end also those that a fast
        clock stamped later than now."""
        with translated(self._name), unhurried():
            cursor = self._events.aggregate(
                pipeline(start, end, unit), allowDiskUse=True, maxTimeMS=_COUNT_TIMEOUT
            )
            return list(_groups(cursor))

    def unfilled(self, subject: str, fillable: int, since: datetime) -> tuple[int, int] | None:
        """Count the documents from `since` on that lack something on purpose, and those of them
        that lack the backfill to `fillable`; None as `backlog` says."""
        with translated(self._name), unhurried():
            try:
                for found in self._events.aggregate(
                    unfilled_pipeline(subject, fillable, since), maxTimeMS=_BACKLOG_TIMEOUT
                ):
                    return int(found["count"]), int(found["behind"])
            except ExecutionTimeout:
                return None
        return 0, 0

    def backlog(self, subject: str, fillable: int, since: datetime) -> int | None:
        """Count the documents from `since` on that lack the backfill to `fillable`; None when that
        takes too long, as it may just after a version came."""
        with translated(self._name), unhurried():
            try:
                for found in self._events.aggregate(
                    [{"$match": backlog_filter(subject, fillable, since)}, {"$count": "count"}],
                    maxTimeMS=_BACKLOG_TIMEOUT,
                ):
                    return int(found["count"])
            except ExecutionTimeout:
                return None
        return 0


def pipeline(start: datetime, end: datetime | None, unit: Unit) -> list[Document]:
    """Reads nothing but the index on these four fields: a test explains it."""
    span = {"$gte": start} if end is None else {"$gte": start, "$lt": end}
    return [
        {"$match": {"processed_at": span}},
        {
            "$group": {
                "_id": {
                    "at": {
                        "$cond": [
                            {"$eq": [{"$type": "$processed_at"}, "date"]},
                            {"$dateTrunc": {"date": "$processed_at", **_BINS[unit]}},
                            None,
                        ]
                    },
                    "subject": "$_meta.subject",
                    "version": "$schema_version",
                    "exhibited": "$_meta.exhibited_version",
                },
                "count": {"$sum": 1},
            }
        },
    ]


def backlog_filter(subject: str, fillable: int, since: datetime) -> Document:
    """Documents of a subject that are counted and not yet filled up."""
    return {
        "_meta.subject": subject,
        "_meta.backfilled_to": {"$lt": fillable},
        "schema_version": {"$gte": 1},
        "processed_at": {"$gte": since},
    }


def unfilled_pipeline(subject: str, fillable: int, since: datetime) -> list[Document]:
    """Reads nothing but the index on these fields: a test explains it."""
    wanted = {"_meta.subject": subject, **UNFILLED, "processed_at": {"$gte": since}}
    behind = {"$cond": [{"$lt": ["$_meta.backfilled_to", fillable]}, 1, 0]}
    counted = {"_id": None, "count": {"$sum": 1}, "behind": {"$sum": behind}}
    return [{"$match": wanted}, {"$group": counted}]


def _groups(found: Any) -> Iterator[Group]:
    for row in found:
        key = row["_id"]
        at, subject, version = key["at"], key.get("subject"), key.get("version")
        if at and isinstance(subject, str) and isinstance(version, int) and version > 0:
            exhibited = key.get("exhibited")
            known = exhibited if isinstance(exhibited, int) else 0
            yield Group(at, subject, version, known, int(row["count"]))


def _earliest(dates: list[Any], start: datetime) -> datetime:
    """The date for which an array was found."""
    return min(date for date in dates if isinstance(date, datetime) and date >= start)
