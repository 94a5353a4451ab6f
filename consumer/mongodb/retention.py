"""Let MongoDB delete what is older than the settings say now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from consumer.core.clock import next_hour
from consumer.core.errors import SetupError
from consumer.mongodb.client import AUDIT, DEAD_LETTERS, EVENTS, SIMPLE, Document
from consumer.mongodb.deadline import unhurried
from consumer.mongodb.errors import translated

INDEX = "cxone_retention"
_NAMES = (INDEX, f"{INDEX}_simple")
_DAY = 86_400
_UNAUTHORIZED = 13


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after which events and deeds in the audit are deleted (0: kept), and how long dead
    letters are kept that have ended (None: as each says)."""

    events: int = 0
    audit: int = 0
    dead_letters: timedelta | None = None


def retained_from(now: datetime, days: int) -> datetime | None:
    """The first hour of which no event has expired; None when all are kept (`days` 0)."""
    return next_hour(now - timedelta(days=days)) if days else None


def apply_retention(db: Database[Document], retention: Retention) -> None:
    """Make the TTL indexes, and the dates in dead letters that have ended, what the settings say.

    An index of the user's own is never dropped nor changed. Raises SetupError where one stands in
    the way, and StoreUnavailable.
    """
    _expire(db, EVENTS, "processed_at", retention.events, "CXONE_RETENTION_DAYS")
    _expire(db, AUDIT, "at", retention.audit, "CXONE_AUDIT_RETENTION_DAYS")
    if retention.dead_letters is not None:
        _redate(db, retention.dead_letters)


def _expire(db: Database[Document], name: str, field: str, days: int, setting: str) -> None:
    """Have documents deleted so many days after the date in their field; 0 keeps everything."""
    collection, seconds = db[name], days * _DAY
    with translated(name):
        try:
            indexes = collection.index_information()
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED or days:
                raise
            # Who may not look has made none of these.
            return
        ours = {name: indexes.pop(name) for name in _NAMES if name in indexes}
        good = next((name for name, index in ours.items() if not index.get("collation")), None)
        if days and good is None:
            for theirs, index in indexes.items():
                _check(theirs, index, (field, seconds), f"{name}.{field}", f"{setting}={days}")
            if not _has(indexes, field, seconds):
                # Beside one that took over the collation of its collection.
                good = next(name for name in _NAMES if name not in ours)
                _create(collection, good, field, seconds)
        elif good is not None and days and ours[good].get("expireAfterSeconds") != seconds:
            _change(db, name, good, field, seconds)
        for each in ours:
            if each != good or not days:
                collection.drop_index(each)


def _create(collection: Collection[Document], name: str, field: str, seconds: int) -> None:
    collection.create_index(field, name=name, expireAfterSeconds=seconds, collation=SIMPLE)


def _change(db: Database[Document], name: str, index: str, field: str, seconds: int) -> None:
    try:
        change = {"name": index, "expireAfterSeconds": seconds}
        db.command({"collMod": name, "index": change})
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        # The role readWrite may not change a collection, but make and drop its indexes.
        db[name].drop_index(index)
        _create(db[name], index, field, seconds)


def _check(name: str, index: Document, wanted: tuple[str, int], where: str, setting: str) -> None:
    """Raise SetupError where an index of the user's own deletes at another time, or has the place
    of ours: MongoDB takes one index of a key and direction."""
    field, seconds = wanted
    keys, expires = list(index["key"]), index.get("expireAfterSeconds")
    same_place = keys == [(field, ASCENDING)] and expires != seconds
    deletes = [key for key, _ in keys] == [field] and expires not in (None, seconds)
    if same_place or deletes:
        raise SetupError(
            f"the index {name!r} of yours on {where} stands in the way of {setting}:"
            " drop it, or unset the setting"
        )


def _has(indexes: Mapping[str, Any], field: str, seconds: int) -> bool:
    return any(
        [key for key, _ in index["key"]] == [field] and index.get("expireAfterSeconds") == seconds
        for index in indexes.values()
    )


def _redate(db: Database[Document], kept: timedelta) -> None:
    """Let dead letters that have ended expire by the time that is set now: each holds its date, for
    those that wait must not expire at all. A later copy has moved it."""
    last = {"$max": ["$ended_at", "$last_seen"]}
    due = {"$add": [last, kept // timedelta(milliseconds=1)]}
    wanted = {
        "expires_at": {"$type": "date"},
        "ended_at": {"$type": "date"},
        "$expr": {"$ne": ["$expires_at", due]},
    }
    with translated(DEAD_LETTERS), unhurried():
        db[DEAD_LETTERS].update_many(wanted, [{"$set": {"expires_at": due}}])
