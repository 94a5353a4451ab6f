"""Notes of senders and of deliveries that were dropped, against a real mongod."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.errors import StoreUnavailable
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import REFUSALS_DROPPED
from consumer.dead_letters import refusal_notes
from consumer.dead_letters.refusal_notes import KnownPeers, RefusalNotes
from consumer.mongodb.indexes import create_indexes
from jobs.note_refusals import NoteRefusals

Db = Database[dict[str, Any]]
NOW = datetime(2026, 5, 1, 12, 30, tzinfo=timezone.utc)


@pytest.fixture
def notes(database: Db) -> RefusalNotes:
    return RefusalNotes(database["refusals"])


def test_a_peer_that_verified_is_known_to_all_processes_for_30_days(
    notes: RefusalNotes, database: Db
) -> None:
    create_indexes(database)
    here, elsewhere = KnownPeers(notes), KnownPeers(notes)
    here.add_verified("192.0.2.1")
    here.add_verified("")
    assert ("192.0.2.1" in here, "192.0.2.1" in elsewhere) == (True, False)

    here.sync()
    elsewhere.sync()

    assert "192.0.2.1" in elsewhere
    (kept,) = database["refusals"].find()
    assert set(kept) == {"_id", "at"}
    (ttl,) = [row for row in database["refusals"].list_indexes() if "expireAfterSeconds" in row]
    assert (dict(ttl["key"]), ttl["expireAfterSeconds"]) == ({"at": 1}, 30 * 86_400)


def test_what_is_remembered_of_peers_is_bounded(
    notes: RefusalNotes, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_notes, "MOST_PEERS", 10)
    notes.add_peers([f"192.0.2.{n}" for n in range(8)])
    before = database["refusals"].find_one({"_id": "peer 192.0.2.1"})

    notes.add_peers(["192.0.2.1", "192.0.2.100", "192.0.2.101"])

    assert database["refusals"].count_documents({}) == 8
    after = database["refusals"].find_one({"_id": "peer 192.0.2.1"})
    assert before is not None
    assert after is not None
    assert after["at"] >= before["at"]
    new = KnownPeers(notes)
    for n in range(5000):
        new.add_verified(f"10.0.{n // 250}.{n % 250}")
    assert len(new._new) == 1000


def test_who_came_while_mongodb_was_away_is_told_later(notes: RefusalNotes) -> None:
    class Away:
        def add_peers(self, peers: list[str]) -> None:
            raise StoreUnavailable("away")

        def peers(self) -> frozenset[str]:
            raise StoreUnavailable("away")

    here = KnownPeers(Away())
    here.add_verified("192.0.2.1")
    with pytest.raises(StoreUnavailable):
        here.sync()
    here.add_verified("192.0.2.2")
    here._store = notes

    here.sync()

    assert notes.peers() == {"192.0.2.1", "192.0.2.2"}


def test_what_is_dropped_is_told_once_by_the_hour(notes: RefusalNotes) -> None:
    metrics, clock = Metrics(), [NOW - timedelta(hours=30)]
    job = NoteRefusals(KnownPeers(notes), notes, metrics, lambda: clock[0])
    metrics.count(REFUSALS_DROPPED, 7, bound="queue")
    job()
    clock[0] = NOW
    metrics.count(REFUSALS_DROPPED, 2, bound="queue")
    metrics.count(REFUSALS_DROPPED, 3, bound="kept")
    job()
    job()

    assert notes.dropped(NOW - timedelta(hours=24)) == Counter(queue=2, kept=3)
    assert notes.dropped(NOW - timedelta(hours=48)) == Counter(queue=9, kept=3)
    assert notes.peers() == frozenset()
