"""Runs are recorded, exclusive ones take place once, and a process is listed while it lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumer.core.errors import StoreUnavailable
from consumer.mongodb.client import INSTANCES, JOB_RUNS, LEASES, connect, open_database
from consumer.mongodb.indexes import create_indexes
from consumer.monitoring.instances import Instances, this_process
from consumer.monitoring.job_runs import JobRuns, RunRecord
from jobs.scheduling.job import Job, JobRun, RunResult
from jobs.scheduling.scheduler import Scheduler
from tests.support.jobs import LONG_AGO, Db, runner
from tests.support.service import eventually


def test_a_run_is_recorded_from_its_start_to_its_end(database: Db) -> None:
    seen: list[dict[str, Any]] = []

    def work(run: JobRun) -> dict[str, Any]:
        seen.extend(database[JOB_RUNS].find())
        run.progress(done=3)
        return {"counted": 7, "$odd.key": "$value"}

    ended = runner(database, "p").run(Job("count", 60, work, exclusive=True))

    assert isinstance(ended, RunResult) and ended.outcome == "succeeded"
    (during,), (after,) = seen, list(database[JOB_RUNS].find())
    assert (during["outcome"], during["ended_at"], during["fence"]) == ("running", None, 1)
    assert (after["outcome"], after["result"]) == (
        "succeeded",
        {"counted": 7, "$odd.key": "$value"},
    )
    assert after["progress"] == {"done": 3}
    assert after["started_at"] == during["started_at"] <= after["ended_at"]
    assert after["expires_at"] - after["ended_at"] == timedelta(seconds=60_000)


def test_a_failed_run_is_recorded_without_the_text_of_a_foreign_error(database: Db) -> None:
    def work() -> None:
        raise ValueError("+49 170 1234567")

    runner(database, "p").run(Job("count", 60, work, exclusive=True))

    (run,) = database[JOB_RUNS].find()
    assert run["outcome"] == "failed"
    assert "ValueError" in run["error"] and "1234567" not in str(run)


def test_a_result_that_cannot_be_stored_does_not_stop_the_job(database: Db) -> None:
    ours = runner(database, "p")

    ended = ours.run(Job("count", 0.001, lambda run: {"set": {1, 2}}, exclusive=True))

    assert isinstance(ended, RunResult) and ended.outcome == "succeeded"
    assert isinstance(ours.run(Job("count", 60, lambda run: {}, exclusive=True)), RunResult)


def test_a_run_whose_process_was_killed_is_closed_by_the_next_one(database: Db) -> None:
    runs = JobRuns(database[JOB_RUNS])
    killed = RunRecord("r1", "count", "killed", 1, 60, 0, "running")
    runs.save(killed)
    database[LEASES].insert_one({"_id": "count", "fence": 1, "expires_at": LONG_AGO})

    runner(database, "p").run(Job("count", 60, lambda run: {}, exclusive=True))

    outcomes = {run["instance"]: run["outcome"] for run in runs.history("count")}
    assert outcomes == {"killed": "unfinished", "p": "succeeded"}


def test_the_last_run_of_every_job_is_found_in_the_index(database: Db) -> None:
    create_indexes(database)
    runs = JobRuns(database[JOB_RUNS])
    for n in range(20):
        for instance in ("p", "q"):
            record = RunRecord(f"{n}{instance}", "refresh", instance, 0, 10, 100 - n, "succeeded")
            runs.save(record)
            runs.save(replace(record, id=f"x{n}{instance}", job="count", fence=n + 1))

    last = runs.last()
    plan = database.command(
        "explain",
        {
            "aggregate": JOB_RUNS,
            "pipeline": [
                {"$sort": {"series": 1, "started_at": -1}},
                {"$group": {"_id": "$series", "run": {"$first": "$$ROOT"}}},
            ],
            "cursor": {},
        },
    )

    assert [(run["job"], run["instance"]) for run in last] == [
        ("count", last[0]["instance"]),
        ("refresh", "p"),
        ("refresh", "q"),
    ]
    assert last[0]["fence"] == 20
    assert "DISTINCT_SCAN" in str(plan)


def test_two_processes_run_an_exclusive_job_once_in_its_interval(database: Db) -> None:
    ran: list[str] = []
    schedulers = [
        Scheduler(
            [
                Job("shared", 30, lambda name=name: ran.append(name), exclusive=True),
                Job("own", 30, lambda name=name: ran.append(f"{name} own")),
            ],
            runner(database, name),
        )
        for name in ("p", "q")
    ]
    for scheduler in schedulers:
        scheduler.start()
    eventually(lambda: len(ran) == 3)
    time.sleep(0.3)
    for scheduler in schedulers:
        assert scheduler.stop(5)

    assert len([name for name in ran if "own" not in name]) == 1
    assert {name for name in ran if "own" in name} == {"p own", "q own"}


def test_a_stopping_process_hands_its_job_over(database: Db) -> None:
    begun, ran = threading.Event(), threading.Event()

    def until_told(run: JobRun) -> dict[str, Any]:
        begun.set()
        while not run.stopping():
            time.sleep(0.01)
        return {"reached": 5}

    first = Scheduler([Job("shared", 600, until_told, exclusive=True)], runner(database, "p", 0.6))
    second = Scheduler([Job("shared", 600, ran.set, exclusive=True)], runner(database, "q", 0.6))
    first.start()
    assert begun.wait(60)
    second.start()

    assert first.stop(5)
    assert ran.wait(60)
    second.stop(5)

    outcomes = [run["outcome"] for run in JobRuns(database[JOB_RUNS]).history("shared")]
    assert outcomes == ["succeeded", "stopped"]


def test_a_job_learns_within_a_lease_time_that_mongodb_went_away(
    mongod_factory: Callable[..., Any],
) -> None:
    server = mongod_factory()
    with connect(server.uri, timeout=2) as client:
        database = open_database(client, "test")
        stopped_after: list[float] = []

        def work(run: JobRun) -> dict[str, Any]:
            server.stop(grace=0)
            gone = time.monotonic()
            while not run.stopping():
                time.sleep(0.01)
            stopped_after.append(time.monotonic() - gone)
            return {}

        ended = runner(database, "p", 3).run(Job("count", 60, work, exclusive=True))

        assert isinstance(ended, RunResult) and ended.outcome == "lost"
        assert stopped_after[0] < 3


def test_without_mongodb_an_exclusive_job_waits_and_a_common_one_runs(mongod_uri: str) -> None:
    with connect("mongodb://127.0.0.1:9", timeout=0.1) as client:
        ran: list[str] = []
        ours = runner(open_database(client, "test"), "p")

        again = ours.attempt(Job("shared", 60, lambda: ran.append("shared"), exclusive=True))
        ours.attempt(Job("own", 60, lambda: ran.append("own")))

        assert ran == ["own"]
        assert again == 5.0
        with pytest.raises(StoreUnavailable):
            ours.run(Job("shared", 60, lambda: None, exclusive=True))


def test_a_process_is_listed_while_it_gives_signs_of_life(database: Db) -> None:
    instances = Instances(database[INSTANCES])
    here, there = this_process("1.2.3", "here"), this_process("1.2.3", "there")
    instances.beat(here)
    instances.beat(there)
    first = {row["_id"]: row["started_at"] for row in instances.all()}
    database[INSTANCES].update_one({"_id": there.id}, {"$set": {"last_seen": LONG_AGO}})
    instances.beat(here)

    rows = {row["_id"]: row for row in instances.all()}
    assert rows[here.id]["started_at"] == first[here.id]
    assert rows[here.id]["silent"] < 5 < 86_400 < rows[there.id]["silent"]
    assert (rows[here.id]["host"], rows[here.id]["version"]) == ("here", "1.2.3")

    instances.leave(here)
    assert [row["_id"] for row in instances.all()] == [there.id]
