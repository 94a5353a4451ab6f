"""A backfill that is killed with -9 again and again still fills every document, each once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.storage import mongo
from tests.backfill import laid_out, registry, store

Db = Database[dict[str, Any]]


def worker(uri: str, database: Db) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.backfill_worker", uri, database.name],
        stdout=subprocess.DEVNULL,
    )


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
    """How often each document was modified, as the replica set's own log says."""
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
    mongo.create_indexes(database)
    schemas = registry(database)
    template = laid_out(schemas, "first", {"a": 1, "n": {"x": None}})
    for start in range(0, documents, 1_000):
        numbers = range(start, min(start + 1_000, documents))
        database["events"].insert_many([{**template, "_id": str(n), "a": n} for n in numbers])
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
