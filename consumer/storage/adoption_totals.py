"""Keep the sums of what was counted, each hour in them once, however often it is added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from bson import CodecOptions
from pymongo import UpdateOne
from pymongo.database import Database

from consumer.storage.adoption_counts import HourCount
from consumer.storage.mongo import ADOPTION_TOTALS, Document
from consumer.storage.patience import soon, unhurried
from consumer.storage.translate import translated
from consumer.timegrid import EPOCH

# Subject and version.
Key = tuple[str, int]


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
        codec: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=timezone.utc)
        self._totals = db[ADOPTION_TOTALS].with_options(codec_options=codec)

    def all(self, generation: int) -> dict[Key, Total]:
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
