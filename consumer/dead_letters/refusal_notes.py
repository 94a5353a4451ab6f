"""Remember which senders verified lately, and how many refused deliveries were not kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection as Some
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from consumer.mongodb.errors import translated

Document = dict[str, Any]

# Senders are few; without trusted proxies in the settings, or behind none, they might be many.
MOST_PEERS = 10_000
_PEER, _DROPPED = "peer ", "dropped "
_NOW = {"$currentDate": {"at": True}}


class RefusalNotes:
    """The `refusals` collection, a document for each sender and each hour in which something was
    dropped; MongoDB deletes what nobody touched for 30 days. Methods raise StoreUnavailable."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection

    def add_peers(self, peers: Some[str]) -> None:
        """Note that these addresses delivered something verified just now; new ones only while
        there is room."""
        if not peers:
            return
        with translated(self._collection.name):
            room = self._collection.estimated_document_count() + len(peers) <= MOST_PEERS
            updates = [UpdateOne({"_id": _PEER + peer}, _NOW, upsert=room) for peer in peers]
            try:
                self._collection.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                # Another process has just made the same.
                if any(row["code"] != 11000 for row in (error.details or {})["writeErrors"]):
                    raise

    def peers(self) -> frozenset[str]:
        """The addresses that delivered something verified in the last 30 days."""
        with translated(self._collection.name):
            found = self._collection.find(_begin_with(_PEER), {"_id": 1}).limit(MOST_PEERS)
            return frozenset(row["_id"][len(_PEER) :] for row in found)

    def add_dropped(self, bounds: Mapping[str, int], at: datetime) -> None:
        """Count deliveries that were not kept, by the bound that was met, in the hour of `at`."""
        update = {**_NOW, "$inc": {f"bounds.{bound}": count for bound, count in bounds.items()}}
        hour = {"_id": f"{_DROPPED}{at:%Y-%m-%dT%H}"}
        with translated(self._collection.name):
            try:
                self._collection.update_one(hour, update, upsert=True)
            except DuplicateKeyError:
                self._collection.update_one(hour, update)

    def dropped(self, since: datetime) -> Counter[str]:
        """Count the deliveries that were not kept since the hour of `since`, by the bound."""
        found: Counter[str] = Counter()
        hours = {"_id": {"$gte": f"{_DROPPED}{since:%Y-%m-%dT%H}", "$lt": _after(_DROPPED)}}
        with translated(self._collection.name):
            for row in self._collection.find(hours):
                found.update(row["bounds"])
        return found


def _begin_with(kind: str) -> Document:
    return {"_id": {"$gte": kind, "$lt": _after(kind)}}


def _after(kind: str) -> str:
    return kind[:-1] + chr(ord(kind[-1]) + 1)
