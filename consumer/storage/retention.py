"""Let MongoDB delete events after so many days, as the setting says now."""

from __future__ import annotations

from datetime import datetime, timedelta

from pymongo.collection import Collection
from pymongo.database import Database

from consumer.errors import SetupError
from consumer.storage.mongo import EVENTS, Document
from consumer.storage.translate import translated
from consumer.timegrid import next_hour

INDEX = "cxone_retention"
_DAY = 86_400


def retained_from(now: datetime, days: int) -> datetime | None:
    """The first hour of which no event has expired; None when all are kept (`days` 0)."""
    return next_hour(now - timedelta(days=days)) if days else None


def apply_retention(db: Database[Document], days: int) -> None:
    """Make the TTL index on `processed_at` what the setting says; 0 keeps everything.

    An index of the user's own is never dropped nor changed. Raises SetupError where one stands in
    the way, and StoreUnavailable.
    """
    events = db[EVENTS]
    with translated(EVENTS):
        found = _index(events)
        if found is None:
            if days:
                events.create_index("processed_at", name=INDEX, expireAfterSeconds=days * _DAY)
            return
        name, seconds = found
        if name != INDEX:
            if days and seconds != days * _DAY:
                raise SetupError(
                    f"the index {name!r} of yours on events.processed_at stands in the way of"
                    f" CXONE_RETENTION_DAYS={days}: drop it, or unset the setting"
                )
        elif not days:
            events.drop_index(INDEX)
        elif seconds != days * _DAY:
            change = {"name": INDEX, "expireAfterSeconds": days * _DAY}
            db.command({"collMod": EVENTS, "index": change})


def _index(events: Collection[Document]) -> tuple[str, float | None] | None:
    """Name and seconds of the index on `processed_at` alone, whichever way it runs."""
    for name, index in events.index_information().items():
        keys = [key for key, _ in index["key"]]
        if keys == ["processed_at"]:
            return name, index.get("expireAfterSeconds")
    return None
