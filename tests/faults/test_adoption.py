"""Roll-ups that are killed, and that overlap, lose and double nothing."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from consumer.adoption.report import report
from consumer.adoption.rollup import Bounds, adoption_stores, rebuild
from consumer.mongodb.indexes import create_indexes
from consumer.mongodb.retention import retained_from
from tests.support.adoption import (
    NOW,
    Db,
    brute_force,
    documents,
    job,
    registered,
    spread,
    stored_counts,
)
from tests.support.jobs import Run
from tests.support.places import ROOT
from tests.support.processes import environment

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SUBJECTS = ["contact.created", "contact.ended", "agent.state_changed"]


@pytest.mark.slow
def test_two_workers_killed_at_random_count_everything_once(database: Db, mongod_uri: str) -> None:
    kill_and_compare(database, mongod_uri, kills=6, seed=1)


@pytest.mark.faults_full
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_kills_count_everything_once(database: Db, mongod_uri: str, seed: int) -> None:
    kill_and_compare(database, mongod_uri, kills=40, seed=seed)


def kill_and_compare(db: Db, uri: str, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    create_indexes(db)
    registry = registered(db, SUBJECTS)
    now = NOW
    db["test_notes"].insert_one({"_id": "clock", "now": now})
    times = spread(chance, 3000, now - 60 * HOUR, now)
    db["events"].insert_many(documents(chance, times, SUBJECTS))
    workers = [worker(db, uri) for _ in range(2)]
    try:
        for _ in range(kills):
            victim = chance.randrange(2)
            begun = noted(db, "begun")
            for _ in range(3):
                # Events of the hours that pass come before the clock says so, as late as allowed.
                # Without the wait a worker could close a slice that is still being filled here.
                times = spread(chance, 200, now, now + 7 * HOUR)
                db["events"].insert_many(documents(chance, times, SUBJECTS))
                now += 7 * HOUR
                db["test_notes"].update_one({"_id": "clock"}, {"$set": {"now": now}})
                time.sleep(chance.random() * 0.3)
            await_begun(db, begun)
            time.sleep(chance.random() * 0.3)
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = worker(db, uri)
    finally:
        for process in workers:
            process.kill()
            process.wait()

    result = job(db, now, retention_days=2)(Run(noted(db, "begun") + 1))

    floor = retained_from(now, 2)
    expected = brute_force(db, now, registry, floor)
    assert [each["subject"] for each in result["figures"]] == [each.subject for each in expected]
    assert report(adoption_stores(db), registry, Bounds(now, floor)).figures == expected
    kept = stored_counts(db)
    rebuild(adoption_stores(db), Bounds(now, floor), lambda: False, lambda _: None)
    assert kept == stored_counts(db)
    cut_off = noted(db, "begun") - noted(db, "done") - noted(db, "superseded")
    print(
        f"{kills} kills, {cut_off} runs cut off, {noted(db, 'superseded')} superseded,"
        f" {noted(db, 'done')} done"
    )
    assert cut_off > 0


def worker(db: Db, uri: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.adoption_worker", uri, db.name],
        cwd=ROOT,
        env=environment(),
    )


def noted(db: Db, what: str) -> int:
    found = db["test_notes"].find_one({"_id": what})
    return int(found["n"]) if found else 0


def await_begun(db: Db, before: int) -> None:
    end = time.monotonic() + 30
    while noted(db, "begun") <= before:
        assert time.monotonic() < end, "no worker began a run"
        time.sleep(0.02)
