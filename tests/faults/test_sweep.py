"""Sweeps killed at any moment: each event is stored once, and every entry comes to its end."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

import consumer
from consumer.mongodb.indexes import create_indexes
from tests.support.dead_letters import bench
from tests.support.processes import environment

Db = Database[dict[str, Any]]

ROOT = Path(consumer.__file__).parents[1]


@pytest.mark.slow
def test_entries_swept_by_two_processes_that_are_killed_end_once(
    mongod_uri: str, database: Db
) -> None:
    sweep_and_kill(mongod_uri, database, entries=40, processes=2, kills=4)


@pytest.mark.slow
@pytest.mark.faults_full
def test_two_hundred_entries_swept_by_three_processes_that_are_killed_end_once(
    mongod_uri: str, database: Db
) -> None:
    sweep_and_kill(mongod_uri, database, entries=200, processes=3, kills=24)


def sweep_and_kill(
    uri: str, database: Db, *, entries: int, processes: int, kills: int, seed: int = 1
) -> None:
    """A tenth of the entries cannot be repaired, a tenth is held once it is repaired."""
    create_indexes(database)
    chance = random.Random(seed)
    here = bench(uri, database, cxone_on_new_field="hold")
    here.receive(b'{"id":"first","type":"t","x":"x"}')
    for number in range(entries):
        kind = number % 10
        end = b"" if kind == 0 else b',"new":1}' if kind == 1 else b"}"
        here.receive(b'{"id":"%d","type":"t","x":"\n"%b' % (number, end))
    assert len(here.letters()) == entries

    running = [start(uri, database.name) for _ in range(processes)]
    caught = 0
    try:
        for _ in range(kills):
            # Kill while there is work, whatever starting a process takes here.
            wait_for_attempts(database, chance)
            victim = running.pop(chance.randrange(len(running)))
            victim.kill()
            victim.wait()
            caught += len(unfinished(database))
            # Instead of a minute: the claims of the living lapse as well, which is harder still.
            database["dead_letter_queue"].update_many(
                {"claim": {"$exists": True}}, [{"$set": {"claim.until": "$$NOW"}}]
            )
            running.append(start(uri, database.name))
        finish(database)
    finally:
        for process in running:
            process.kill()
            process.wait()
        here.shared.close()

    tenth = entries // 10
    statuses = Counter(entry["status"] for entry in here.letters())
    assert statuses == {
        "resolved": entries - 2 * tenth,
        "pending_inspection": tenth,
        "held": tenth,
    }
    ids = sorted(event["id"] for event in database["events"].find({}, {"id": 1}))
    assert ids == sorted(["first", *(str(n) for n in range(entries) if n % 10 > 1)])
    resolved = [entry["resolved_by"] for entry in here.letters() if entry["status"] == "resolved"]
    assert database["events"].count_documents({"_id": {"$in": resolved}}) == len(resolved)
    print(f"{entries} entries, {processes} processes, {kills} kills, {caught} claims cut off")


def start(uri: str, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.sweep_worker", uri, name], cwd=ROOT, env=environment()
    )


def unfinished(database: Db) -> list[dict[str, Any]]:
    return list(database["dead_letter_queue"].find({"claim": {"$exists": True}}, {"_id": 1}))


def attempted(database: Db) -> int:
    return database["dead_letter_queue"].count_documents({"retry_count": {"$gt": 0}})


def wait_for_attempts(database: Db, chance: random.Random) -> None:
    """Until another few entries were tried, or all were."""
    goal = attempted(database) + chance.randrange(1, 5)
    until = time.monotonic() + 30
    while attempted(database) < goal and time.monotonic() < until:
        if not database["dead_letter_queue"].count_documents({"next_retry_at": {"$ne": None}}):
            return
        time.sleep(0.005)


def finish(database: Db) -> None:
    until = time.monotonic() + 120
    open_ = {"$or": [{"next_retry_at": {"$ne": None}}, {"claim": {"$exists": True}}]}
    while database["dead_letter_queue"].count_documents(open_):
        assert time.monotonic() < until, "some entries never came to an end"
        time.sleep(0.1)
