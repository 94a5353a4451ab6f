"""A backfill that is killed with -9 again and again still fills every document, each once,
whatever else happens to the documents at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import bson
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.mongodb.indexes import create_indexes
from tests.support.backfill import LONG_AGO, laid_out, registry, store

Db = Database[dict[str, Any]]


def worker(uri: str, database: Db) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.backfill_worker", uri, database.name],
        stdout=subprocess.DEVNULL,
    )


def insert(database: Db, template: dict[str, Any], count: int) -> None:
    """Documents that came one after the other, but for a tenth that share one moment."""
    for start in range(0, count, 1_000):
        made = []
        for n in range(start, min(start + 1_000, count)):
            at = LONG_AGO + timedelta(milliseconds=n if n % 10 else 0)
            made.append({**template, "_id": str(n), "a": n, "processed_at": at})
        database["events"].insert_many(made)


def behind(database: Db) -> int:
    return database["events"].count_documents({"_meta.backfilled_to": 1})


def kill_in_the_middle(workers: list[subprocess.Popen[bytes]], database: Db, until: int) -> None:
    """Kill all at once when no more than `until` documents are behind."""
    ends = time.monotonic() + 60
    try:
        while behind(database) > until:
            assert time.monotonic() < ends, "they do not go on"
            time.sleep(0.005)
    finally:
        for process in workers:
            process.kill()
            process.wait()


def rewritten(client: MongoClient[dict[str, Any]], database: Db) -> Counter[str]:
    """Count how often each document was modified, by the replica set's own log."""
    updates = client["local"]["oplog.rs"].find({"ns": f"{database.name}.events", "op": "u"})
    return Counter(entry["o2"]["_id"] for entry in updates)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("documents", "kills"),
    [(3_000, 3), pytest.param(100_000, 10, marks=pytest.mark.faults_full)],
)
def test_killed_again_and_again_every_document_is_filled_once(
    database: Db,
    mongod_uri: str,
    mongo_client: MongoClient[dict[str, Any]],
    documents: int,
    kills: int,
) -> None:
    create_indexes(database)
    schemas = registry(database)
    template = laid_out(schemas, "first", {"a": 1, "n": {"x": None}})
    insert(database, template, documents)
    store(database, schemas, "new", {"b": 1, "n": {"y": 1}})
    left = []

    for kill in range(1, kills + 1):
        # Two at once: they share the work and may both be in the same batch.
        workers = [worker(mongod_uri, database) for _ in range(2)]
        kill_in_the_middle(workers, database, documents - kill * documents // (kills + 2))
        left.append(behind(database))
        if kill == 1:
            late = {**template, "_id": "late", "a": -1}
            database["events"].insert_one(late)
    assert all(left)
    assert worker(mongod_uri, database).wait(timeout=600) == 0

    found = list(database["events"].find({"_id": {"$ne": "new"}}))
    assert len(found) == documents + 1
    assert all(
        document["b"] is None
        and document["n"] == {"x": None, "y": None}
        and document["_meta"]["backfilled_to"] == 2
        and document["schema_version"] == 1
        for document in found
    )
    assert {document["a"] for document in found} == set(range(-1, documents))
    times = rewritten(mongo_client, database)
    assert (len(times), set(times.values())) == (documents + 1, {1})
    assert database["dead_letter_queue"].count_documents({}) == 0


@contextmanager
def changing(database: Db, late: list[dict[str, Any]]) -> Iterator[list[int]]:
    """Meanwhile a person changes documents from the end, and a stale process stores late ones.

    Yields the numbers of the changed ones: each has `b` by hand, and `n` turned to a scalar.
    """
    over = threading.Event()
    changed: list[int] = []

    def change() -> None:
        number = 10_000_000
        while not over.wait(0.002):
            found = database["events"].find_one_and_update(
                {"_meta.backfilled_to": 1, "a": {"$gt": 100, "$lt": number}, "b": None},
                {"$set": {"b": f"by hand {len(changed)}", "n": "scalar"}},
                sort=[("a", -1)],
            )
            if found is not None:
                number = found["a"]
                changed.append(number)
            if late:
                database["events"].insert_one(late.pop())

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield changed
    finally:
        over.set()
        thread.join()


def too_large(template: dict[str, Any], name: str) -> dict[str, Any]:
    """A document that MongoDB takes, but not with one more field."""
    document = {**template, "_id": name, "a": -2, "text": ""}
    most = 16 * 1024 * 1024
    return {**document, "text": "x" * (most - len(bson.encode(document)))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("documents", "kills"),
    [(2_000, 2), pytest.param(50_000, 8, marks=pytest.mark.faults_full)],
)
def test_killed_amid_refusals_changes_and_late_documents_nothing_is_skipped_or_overwritten(
    database: Db,
    mongod_uri: str,
    mongo_client: MongoClient[dict[str, Any]],
    documents: int,
    kills: int,
) -> None:
    create_indexes(database)
    events = database["events"]
    schemas = registry(database)
    template = laid_out(schemas, "first", {"a": 1, "n": {"x": 1}, "text": "x"})
    insert(database, template, documents)
    store(database, schemas, "new", {"b": "x", "n": {"y": 1}})
    events.insert_many([too_large(template, name) for name in ("large 1", "large 2")])
    # An index of the user takes one of four null `b`, their validator one document not at all; the
    # large ones have no room for the stamp alone.
    theirs = {"b": {"$exists": True}, "mine": True}
    events.create_index([("mine", 1), ("b", 1)], unique=True, partialFilterExpression=theirs)
    events.update_many({"a": {"$in": [11, 12, 13, 14]}}, {"$set": {"mine": True}})
    database.command("collMod", "events", validator={"a": {"$ne": 50}})
    late = [{**template, "_id": f"late {n}", "a": -1} for n in range(100)]
    refused, unfilled = 1 + 2, 3

    with changing(database, late) as changed:
        for kill in range(1, kills + 1):
            workers = [worker(mongod_uri, database) for _ in range(2)]
            kill_in_the_middle(workers, database, documents - kill * documents // (kills + 2))
    if late:
        events.insert_many(late)
    assert [worker(mongod_uri, database).wait(timeout=600)] == [0]

    assert behind(database) == refused
    letters = list(database["dead_letter_queue"].find({"status": "pending_inspection"}))
    assert {letter["reason"] for letter in letters} == {"migration_failed"}
    assert {letter["to_version"] for letter in letters} == {2}
    documents_of = {letter["code"] == 121: letter["documents"] for letter in letters}
    assert (documents_of, len(letters)) == ({True: 1, False: 2}, 2)
    assert {_id for letter in letters for _id in letter["document_ids"]} == {
        document["_id"] for document in events.find({"_meta.backfilled_to": 1}, {"_id": 1})
    }
    assert changed, "nobody changed anything meanwhile"
    filled = {
        document["_id"]: document
        for document in events.find({"_meta.backfilled_to": 2, "_id": {"$ne": "new"}}, {"text": 0})
    }
    assert len(filled) == documents + 2 + 100 - refused
    by_hand = {str(number): f"by hand {turn}" for turn, number in enumerate(changed)}
    assert sum("unfilled" in document["_meta"] for document in filled.values()) == unfilled
    for _id, document in filled.items():
        assert ("b" in document) is ("unfilled" not in document["_meta"])
        assert document.get("b") == by_hand.get(_id)
        assert document["n"] == ("scalar" if _id in by_hand else {"x": 1, "y": None})
    stamped = stampings(mongo_client, database)
    assert set(stamped.values()) == {1}
    assert stamped.keys() == filled.keys()


def stampings(client: MongoClient[dict[str, Any]], database: Db) -> Counter[str]:
    """Count how often each document was stamped, by the replica set's own log."""
    updates = client["local"]["oplog.rs"].find({"ns": f"{database.name}.events", "op": "u"})
    return Counter(
        entry["o2"]["_id"] for entry in updates if "s_meta" in entry["o"].get("diff", {})
    )
