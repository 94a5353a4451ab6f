"""Processes with clocks apart share one job while holders are killed: one at a time, without rest.

Everything is judged by the times and the order that MongoDB gave the writes.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import pytest
from pymongo.database import Database

from consumer.mongodb.client import JOB_RUNS, LEASES
from tests.support.places import ROOT
from tests.support.processes import environment, freeze, thaw
from tests.support.service import eventually

Db = Database[dict[str, Any]]
Process = subprocess.Popen[str]

SHIFTS = (0, 5, -5, 10)


class Fleet:
    """Four workers, named by their shift; the holder of the lease may be killed or paused."""

    def __init__(self, uri: str, database: Db, lease: float) -> None:
        self._arguments = (uri, database.name, lease)
        self._database = database
        self._begun: list[Process] = []
        self.processes: dict[str, Process] = {}
        self.killed_at: list[datetime] = []

    def start(self, shift: int) -> None:
        uri, database, lease = self._arguments
        name = f"clock {shift:+}"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.lease_worker"),
                *(uri, database, name, str(shift), str(lease)),
            ],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes[name] = process
        self._begun.append(process)

    def ready(self) -> None:
        """Wait until every process runs, and its clock is off by what it should be."""
        for name, process in self.processes.items():
            assert process.stdout is not None
            said, shift = process.stdout.readline().split()
            assert said == "started"
            assert float(shift) == pytest.approx(float(name.split()[1]), abs=0.1)

    def holder(self) -> tuple[str, int]:
        """The name and fence of the process that works just now; waits for one."""
        found: list[dict[str, Any]] = []

        def works() -> bool:
            running = {"holder": {"$ne": None}}
            found[:] = self._database[LEASES].find(running)
            return bool(found) and found[0]["holder"] in self.processes

        eventually(works, 20)
        return found[0]["holder"], found[0]["fence"]

    def kill_holder(self) -> None:
        name, _ = self.holder()
        self.processes.pop(name).kill()
        self.killed_at.append(datetime.now(timezone.utc))
        self.start(int(name.split()[1]))

    def end(self) -> None:
        """Let all come to their end."""
        for process in self.processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for process in self.processes.values():
            process.wait(20)

    def clean_up(self) -> None:
        for process in self._begun:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


@contextmanager
def fleet(uri: str, database: Db, lease: float) -> Iterator[Fleet]:
    started = Fleet(uri, database, lease)
    try:
        for shift in SHIFTS:
            started.start(shift)
        started.ready()
        yield started
    finally:
        started.clean_up()


def ledger(database: Db) -> list[dict[str, Any]]:
    """The fenced writes in the order in which they took effect."""
    found = database["ledger"].find_one()
    return found["entries"] if found else []


def assert_one_at_a_time(database: Db, paused: int | None = None) -> None:
    entries = ledger(database)
    assert all(before["fence"] <= after["fence"] for before, after in pairwise(entries))
    holders = defaultdict(set)
    for entry in entries:
        holders[entry["fence"]].add(entry["holder"])
    assert all(len(names) == 1 for names in holders.values())

    # Without the fence too, unless a process stood still between two of its own instructions.
    spans: dict[int, list[datetime]] = defaultdict(list)
    for step in database["steps"].find():
        spans[step["fence"]].append(step["at"])
    for (fence, before), (_, after) in pairwise(sorted(spans.items())):
        assert fence == paused or max(before) <= min(after)


def assert_work_resumed(database: Db, killed_at: list[datetime], within: float) -> float:
    times = [entry["at"] for entry in ledger(database)]
    waits = [min((at - kill).total_seconds() for at in times if at > kill) for kill in killed_at]
    assert max(waits) <= within
    return float(max(waits))


def run_with_kills(uri: str, database: Db, lease: float, kills: int) -> None:
    rng = random.Random(4)
    with fleet(uri, database, lease) as processes:
        for _ in range(kills):
            processes.kill_holder()
            time.sleep(lease + rng.uniform(0.2, 1.5))
        processes.end()

    assert_one_at_a_time(database)
    # A write, and a start of APScheduler's thread on a busy machine, come on top.
    slowest = assert_work_resumed(database, processes.killed_at, lease + 1)
    entries = ledger(database)
    killed = {run["fence"] for run in database[JOB_RUNS].find({"outcome": "unfinished"})}
    assert len(killed) >= kills - 1
    assert len({entry["holder"] for entry in entries}) > 1
    print(
        f"{kills} kills, {len(entries)} writes under {entries[-1]['fence']} fences,"
        f" resumed after {slowest:.2f} s at most of a lease of {lease} s"
    )


@pytest.mark.slow
def test_killed_holders_are_followed_by_one_other_within_a_lease_time(
    mongod_uri: str, database: Db
) -> None:
    run_with_kills(mongod_uri, database, lease=2, kills=4)


@pytest.mark.faults_full
def test_many_killed_holders_are_followed_by_one_other_within_a_lease_time(
    mongod_uri: str, database: Db
) -> None:
    run_with_kills(mongod_uri, database, lease=3, kills=30)


@pytest.mark.slow
def test_a_holder_that_slept_through_its_lease_cannot_write_any_more(
    mongod_uri: str, database: Db
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows cannot pause a process by signal")
    lease = 1.5
    with fleet(mongod_uri, database, lease) as processes:
        eventually(lambda: ledger(database), 20)
        name, fence = processes.holder()
        process = processes.processes[name]
        freeze(process.pid)
        eventually(lambda: processes.holder()[1] > fence, 10)
        eventually(lambda: ledger(database)[-1]["fence"] > fence, 10)
        thaw(process.pid)
        time.sleep(1)
        processes.end()

    assert_one_at_a_time(database, paused=fence)
    after = [entry["fence"] for entry in ledger(database)]
    assert fence < after[-1]
