"""Store the counts of events by hour, and their sums by subject and version.

Each write gives the same result however often it is made: killing or repeating a count changes
nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import MaxKey
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from consumer.adoption.events import Group
from consumer.core.clock import EPOCH, hour_of
from consumer.core.errors import ConsumerError
from consumer.mongodb.client import ADOPTION_COUNTS, ADOPTION_TOTALS, Document
from consumer.mongodb.deadline import soon, unhurried
from consumer.mongodb.errors import translated

_DUPLICATE_KEY = 11000


class Superseded(ConsumerError):
    """Another process counts now, or the counts were rebuilt: what this one wrote is not used."""

    reason = "superseded"


@dataclass(frozen=True, slots=True)
class HourCount:
    """Events of one subject, version, exhibited version and hour; `slices`: by their beginning."""

    hour: datetime
    subject: str
    version: int
    exhibited: int
    slices: Mapping[datetime, int]

    def before(self, end: datetime) -> int:
        """Count those in the slices before `end`."""
        return sum(count for at, count in self.slices.items() if at < end)


class AdoptionCounts:
    """The collection `adoption_counts`: by hour, in slices.

    Each write has a deterministic `_id`. Counts belong to a generation: a rebuild makes a new one
    beside the one in use.
    """

    def __init__(self, db: Database[Document]) -> None:
        self._counts = db[ADOPTION_COUNTS]

    def write(self, generation: int, fence: int, groups: Iterable[Group]) -> None:
        """Set the counts of whole slices; raises Superseded when a later fence has written one."""
        cells: defaultdict[tuple[datetime, str, int, int], Document] = defaultdict(dict)
        for group in groups:
            hour = hour_of(group.at)
            key = (hour, group.subject, group.version, group.exhibited)
            cells[key][f"slices.{_minute(group.at - hour)}"] = group.count
        operations = [
            UpdateOne(
                {"_id": _id(generation, *key), "fence": {"$lte": fence}},
                {"$set": {**slices, "fence": fence}},
                upsert=True,
            )
            for key, slices in cells.items()
        ]
        if not operations:
            return
        with translated(ADOPTION_COUNTS), soon(self._counts):
            try:
                self._counts.bulk_write(operations, ordered=False)
            except BulkWriteError as error:
                # The `_id` is there and its fence is later, so the upsert tried to insert.
                codes = {each["code"] for each in error.details.get("writeErrors", [])}
                if codes == {_DUPLICATE_KEY}:
                    raise Superseded("another process counts adoption by now") from error
                raise

    def hours(self, generation: int, start: datetime, end: datetime | None) -> Iterator[HourCount]:
        """The counts of the hours from `start` to before `end`, in their order."""
        upper: Document = {"g": generation, "hour": MaxKey() if end is None else end}
        span = {"$gte": {"g": generation, "hour": start}, "$lt": upper}
        with translated(ADOPTION_COUNTS), unhurried():
            yield from map(_hour_count, self._counts.find({"_id": span}).sort("_id"))

    def of(self, generation: int, subject: str, hours: Iterable[datetime]) -> Iterator[HourCount]:
        """The counts of one subject in these hours; an index look-up for each."""
        keys = ({"g": generation, "hour": hour, "subject": subject} for hour in hours)
        spans = [{"_id": {"$gte": key, "$lt": {**key, "version": MaxKey()}}} for key in keys]
        if spans:
            with translated(ADOPTION_COUNTS), unhurried():
                yield from map(_hour_count, self._counts.find({"$or": spans}))

    def forget(self, generation: int, before: datetime) -> None:
        """Delete the counts of the hours before `before`."""
        span = {"$gte": {"g": generation}, "$lt": {"g": generation, "hour": before}}
        with translated(ADOPTION_COUNTS), unhurried():
            self._counts.delete_many({"_id": span})

    def discard(self, start: int, end: int) -> None:
        """Delete the generations from `start` to before `end`."""
        with translated(ADOPTION_COUNTS), unhurried():
            self._counts.delete_many({"_id": {"$gte": {"g": start}, "$lt": {"g": end}}})


def _hour_count(found: Document) -> HourCount:
    key = found["_id"]
    slices = {
        key["hour"] + timedelta(minutes=int(minute)): int(count)
        for minute, count in found["slices"].items()
    }
    return HourCount(key["hour"], key["subject"], key["version"], key["exhibited"], slices)


def _id(generation: int, hour: datetime, subject: str, version: int, exhibited: int) -> Document:
    return {
        "g": generation,
        "hour": hour,
        "subject": subject,
        "version": version,
        "exhibited": exhibited,
    }


def _minute(offset: timedelta) -> str:
    return f"{offset // timedelta(minutes=1):02d}"


# Subject and version.
SubjectVersion = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Total:
    """Documents of one subject and version in the hours after `dropped`, up to and with `added`."""

    count: int
    added: datetime
    dropped: datetime


NEVER = EPOCH - timedelta(hours=1)
NOTHING = Total(0, NEVER, NEVER)


class AdoptionTotals:
    """The collection `adoption_totals`: documents by subject and version, in the generations of
    `adoption_counts`. Each sum says itself which hours are in it."""

    def __init__(self, db: Database[Document]) -> None:
        self._totals = db[ADOPTION_TOTALS]

    def all(self, generation: int) -> dict[SubjectVersion, Total]:
        """The sums by subject and version."""
        with translated(ADOPTION_TOTALS), unhurried():
            return {
                (found["_id"]["subject"], found["_id"]["version"]): Total(
                    int(found["count"]), found.get("added", NEVER), found.get("dropped", NEVER)
                )
                for found in self._totals.find({"_id": _generations(generation, generation + 1)})
            }

    def add(self, generation: int, counted: Iterable[HourCount]) -> None:
        """Add whole hours to the sums, each once; hours come in their order."""
        self._move(generation, counted, _added)

    def drop(self, generation: int, counted: Iterable[HourCount]) -> None:
        """Take expired hours out of the sums, each once; hours come in their order."""
        self._move(generation, counted, _dropped)

    def discard(self, start: int, end: int) -> None:
        """Delete the generations from `start` to before `end`."""
        with translated(ADOPTION_TOTALS), unhurried():
            self._totals.delete_many({"_id": _generations(start, end)})

    def _move(
        self,
        generation: int,
        counted: Iterable[HourCount],
        change: Callable[[datetime, int], Document],
    ) -> None:
        sums: defaultdict[tuple[datetime, str, int], int] = defaultdict(int)
        for each in counted:
            sums[each.hour, each.subject, each.version] += sum(each.slices.values())
        operations = [
            UpdateOne(
                {"_id": {"g": generation, "subject": subject, "version": version}},
                [{"$set": change(hour, amount)}],
                upsert=True,
            )
            for (hour, subject, version), amount in sums.items()
        ]
        if operations:
            with translated(ADOPTION_TOTALS), soon(self._totals):
                self._totals.bulk_write(operations, ordered=True)


def _added(hour: datetime, amount: int) -> Document:
    """Add, unless the hour was added before or has expired meanwhile."""
    return {
        "count": _moved({"$and": [_before("added", hour), _before("dropped", hour)]}, amount),
        "added": {"$max": ["$added", hour]},
    }


def _dropped(hour: datetime, amount: int) -> Document:
    """Subtract, if the hour was added and not dropped before: whoever adds may have been killed
    before it could say that it did."""
    was_added = {"$not": [_before("added", hour)]}
    return {
        "count": _moved({"$and": [was_added, _before("dropped", hour)]}, -amount),
        "dropped": {"$max": ["$dropped", hour]},
    }


def _moved(condition: Document, amount: int) -> Document:
    count: Document = {"$ifNull": ["$count", 0]}
    return {"$cond": [condition, {"$add": [count, amount]}, count]}


def _before(mark: str, hour: datetime) -> Document:
    return {"$lt": [{"$ifNull": [f"${mark}", NEVER]}, hour]}


def _generations(start: int, end: int) -> Document:
    # Documents compare field by field, so a prefix is less than all that begin with it.
    return {"$gte": {"g": start}, "$lt": {"g": end}}
