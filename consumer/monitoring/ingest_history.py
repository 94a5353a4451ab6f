"""Record deliveries by minute and quarter, outcome and time taken, over all processes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReplaceOne
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from consumer.core.clock import floor
from consumer.mongodb.client import INGEST_HISTORY, INGEST_QUARTERS, Document
from consumer.mongodb.errors import translated
from consumer.monitoring.outcomes import OutcomeStats, Period, Slot, by_outcome

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
# Each delivery is written in each of these. Four processes leave 40,320 minutes in a week, which
# MongoDB needs most of a second to sum, but 2,688 quarters.
GRAINS = (MINUTE, QUARTER)
# What a picture can show, and a page can hold.
MOST_SLOTS = 1000
_FEW_SLOTS = 120
# More than any version of the program had or may have.
_MOST_BOUNDS = 20
_STEPS = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440))


class IngestHistory:
    """The collections `ingest_history` and `ingest_quarters`: one document for each process and
    minute, or quarter, in which something came. Methods raise StoreUnavailable.

    Writing a period again replaces it, so that a repeated write changes nothing.
    """

    def __init__(self, db: Database[Document]) -> None:
        # A picture, not a promise: it need not wait for a majority.
        self._periods = {
            grain: db[name].with_options(
                write_concern=WriteConcern(w=1),
                read_concern=ReadConcern("local"),
            )
            for grain, name in ((MINUTE, INGEST_HISTORY), (QUARTER, INGEST_QUARTERS))
        }

    def write(self, instance: str, grain: timedelta, periods: Iterable[Period]) -> None:
        """Write what a process (`Instance.id`) answered in whole or begun periods of a grain."""
        operations = [_replacement(instance, period) for period in periods]
        if operations:
            with translated(self._periods[grain].name):
                self._periods[grain].bulk_write(operations, ordered=False)

    def last(self, window: timedelta, now: datetime) -> tuple[timedelta, list[Slot]]:
        """The step and the slots of the time up to `now`, in few enough slots for a picture."""
        step = next((step for step in _STEPS if window / step <= _FEW_SLOTS), _STEPS[-1])
        return step, self.read(floor(now - window, step), now, step)

    def read(self, start: datetime, end: datetime, step: timedelta) -> list[Slot]:
        """Slots of `step` (whole minutes) from the one that holds `start` to before `end`, those
        without a delivery too; the last may have just begun. Steps of whole quarters are summed
        from quarters, also that which `end` divides. ValueError for too many.
        """
        first = floor(start, step)
        many = -((first - end) // step)
        if step % MINUTE or many > MOST_SLOTS:
            raise ValueError(f"{many} slots of {step}: at most {MOST_SLOTS} of whole minutes")
        periods = self._periods[MINUTE if step % QUARTER else QUARTER]
        found: dict[datetime, list[OutcomeStats]] = {}
        with translated(periods.name):
            for row in periods.aggregate(pipeline(first, end, step)):
                found.setdefault(row["_id"]["at"], []).append(_ended(row))
        return [
            Slot(at, by_outcome(found.get(at, ())))
            for at in (first + n * step for n in range(many))
        ]


def pipeline(start: datetime, end: datetime, step: timedelta) -> list[Document]:
    """Sums by slot and outcome, made by the server: a day of many processes is a lot to send."""
    slot = {"$dateTrunc": {"date": "$at", "unit": "minute", "binSize": step // MINUTE}}
    return [
        {"$match": {"at": {"$gte": start, "$lt": end}}},
        {"$unwind": "$ended"},
        {
            "$group": {
                "_id": {"at": slot, "outcome": "$ended.outcome", "bounds": "$bounds"},
                "count": {"$sum": "$ended.count"},
                "seconds": {"$sum": "$ended.seconds"},
                # An array has no sum of its own; beyond its end nothing is added.
                **{
                    f"b{n}": {"$sum": {"$arrayElemAt": ["$ended.buckets", n]}}
                    for n in range(_MOST_BOUNDS)
                },
            }
        },
    ]


def _replacement(instance: str, period: Period) -> ReplaceOne[Document]:
    bounds = [bound for bound, _ in period.outcomes[0].buckets] if period.outcomes else []
    document: Document = {
        "_id": {"instance": instance, "at": period.at},
        "at": period.at,
        "bounds": bounds,
        "ended": [
            {
                "outcome": each.outcome,
                "count": each.count,
                "seconds": each.seconds,
                "buckets": [int(count) for _, count in each.buckets],
            }
            for each in period.outcomes
        ],
    }
    return ReplaceOne({"_id": document["_id"]}, document, upsert=True)


def _ended(row: Document) -> OutcomeStats:
    key: dict[str, Any] = row["_id"]
    buckets = tuple((bound, float(row[f"b{n}"])) for n, bound in enumerate(key["bounds"]))
    return OutcomeStats(key["outcome"], int(row["count"]), float(row["seconds"]), buckets)
