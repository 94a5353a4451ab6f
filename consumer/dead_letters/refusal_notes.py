"""Record the peers that delivered something verified, and the refused deliveries not kept.

A peer is the address of a client, of IPv6 its /64 network. Refused deliveries of known peers
matter: their secret may have changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated

# Senders are few; without trusted proxies in the settings, or behind none, they might be many.
MOST_PEERS = 10_000
# New ones between two calls of `sync`; one that is passed over comes with a later delivery.
_MOST_NEW = 1000
_PEER, _DROPPED = "peer ", "dropped "
_NOW = {"$currentDate": {"at": True}}


class RefusalNotes:
    """The `refusals` collection, a document for each sender and each hour in which something was
    dropped; MongoDB deletes what nobody touched for 30 days. Methods raise StoreUnavailable."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection

    def add_peers(self, peers: Sequence[str]) -> None:
        """Record that these peers delivered something verified just now; new ones only while
        there are fewer than MOST_PEERS."""
        if not peers:
            return
        with translated(self._collection.name):
            new_fit = self._collection.estimated_document_count() + len(peers) <= MOST_PEERS
            updates = [UpdateOne({"_id": _PEER + peer}, _NOW, upsert=new_fit) for peer in peers]
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


class PeerStore(Protocol):
    """A store of peers: RefusalNotes, or a fake of it."""

    def add_peers(self, peers: list[str], /) -> None: ...

    def peers(self) -> frozenset[str]: ...


class KnownPeers:
    """The peers of the store, and those that came since, in memory: asking and adding wait for
    nobody."""

    def __init__(self, store: PeerStore) -> None:
        self._store = store
        self._known: frozenset[str] = frozenset()
        self._new: dict[str, None] = {}

    def __contains__(self, peer: str) -> bool:
        return peer in self._known or peer in self._new

    def add_verified(self, peer: str) -> None:
        """Add a peer that delivered something verified."""
        if peer and peer not in self._new and len(self._new) < _MOST_NEW:
            self._new[peer] = None

    def reload(self) -> None:
        """Read the store; raises StoreUnavailable."""
        self._known = self._store.peers()

    def sync(self) -> None:
        """Write the new peers, and read those of other processes; raises StoreUnavailable."""
        written, self._new = self._new, {}
        try:
            self._store.add_peers(list(written))
        except BaseException:
            self._new = {**written, **self._new}
            raise
        self.reload()
