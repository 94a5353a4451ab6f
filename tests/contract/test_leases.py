"""Leases, job runs and instances against a real mongod."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.errors import StoreUnavailable
from consumer.storage import mongo
from consumer.storage.instances import Instances, this_process
from consumer.storage.job_runs import JobRuns, RunRecord
from consumer.storage.leases import Later, Lease, Leases
from jobs.hold import Hold
from jobs.job import Ended, Job
from jobs.run import JobRun
from jobs.runner import Runner
from jobs.scheduler import Scheduler
from tests.service import eventually

Db = Database[dict[str, Any]]
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


def leases(database: Db, holder: str, seconds: float = 30, **parts: Any) -> Leases:
    return Leases(database[mongo.LEASES], holder, seconds, **parts)


def granted(leases: Leases, name: str = "job") -> Lease:
    grant = leases.acquire(name).grant
    assert isinstance(grant, Lease)
    return grant


def expire(database: Db, name: str = "job") -> None:
    database[mongo.LEASES].update_one({"_id": name}, {"$set": {"expires_at": LONG_AGO}})


def runner(database: Db, instance: str, seconds: float = 30) -> Runner:
    return Runner(
        instance, leases=leases(database, instance, seconds), runs=JobRuns(database[mongo.JOB_RUNS])
    )


def test_a_held_lease_is_granted_to_nobody_else(database: Db) -> None:
    granted(leases(database, "a"))

    grant = leases(database, "b").acquire("job").grant

    assert isinstance(grant, Later)
    assert 28 < grant.seconds <= 30


def test_not_even_to_its_own_holder(database: Db) -> None:
    ours = leases(database, "a")
    granted(ours)

    assert isinstance(ours.acquire("job").grant, Later)


def test_an_expired_lease_goes_to_another_under_the_next_fence(database: Db) -> None:
    first = granted(leases(database, "a"))
    expire(database)

    second = granted(leases(database, "b"))

    assert (first.fence, second.fence) == (1, 2)
    assert second.holder == "b"


def test_a_lease_that_was_taken_over_can_be_neither_renewed_nor_released(database: Db) -> None:
    old = leases(database, "a")
    lost = granted(old)
    expire(database)
    granted(leases(database, "b"))

    assert old.renew(lost, timeout=5) is None
    assert not old.release(lost, due_after=None, succeeded=True)
    assert isinstance(leases(database, "c").acquire("job").grant, Later)


def test_renewing_makes_it_last(database: Db) -> None:
    ours = leases(database, "a")
    lease = granted(ours)
    database[mongo.LEASES].update_one(
        {"_id": "job"}, {"$set": {"expires_at": datetime.now(timezone.utc) + timedelta(seconds=1)}}
    )

    renewed = ours.renew(lease, timeout=5)

    assert renewed is not None and renewed.fence == lease.fence
    grant = leases(database, "b").acquire("job").grant
    assert isinstance(grant, Later) and grant.seconds > 28


def test_a_released_lease_waits_until_it_is_due_again(database: Db) -> None:
    ours = leases(database, "a")
    ours.release(granted(ours), due_after=60, succeeded=True)

    answer = leases(database, "b").acquire("job")

    assert isinstance(answer.grant, Later) and 58 < answer.grant.seconds <= 60
    assert answer.success_age is not None and answer.success_age < 2


def test_a_run_that_was_cut_short_is_due_at_once(database: Db) -> None:
    ours = leases(database, "a")
    ours.release(granted(ours), due_after=None, succeeded=False)

    assert granted(leases(database, "b")).fence == 2


def test_of_many_that_ask_at_the_same_time_one_is_granted(database: Db) -> None:
    start = threading.Barrier(8)
    grants: list[Lease | Later] = []

    def ask(holder: str) -> None:
        ours = leases(database, holder)
        start.wait()
        grants.append(ours.acquire("job").grant)

    threads = [threading.Thread(target=ask, args=(f"holder {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(grants) == 8
    assert sum(isinstance(grant, Lease) for grant in grants) == 1


def test_a_holder_may_be_called_anything(database: Db) -> None:
    granted(leases(database, "$host.name"))

    assert leases(database, "b").all()[0]["holder"] == "$host.name"


def test_the_list_names_no_holder_of_an_expired_lease(database: Db) -> None:
    granted(leases(database, "a"))
    expire(database)

    (row,) = leases(database, "b").all()

    assert (row["name"], row["holder"], row["fence"]) == ("job", None, 1)


class Hand:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_hold_that_cannot_renew_is_lost_before_the_lease_expires(database: Db) -> None:
    now = Hand()
    ours = leases(database, "a", 30, now=now)
    hold = Hold(ours, granted(ours), now)

    now.seconds += 24.9
    before = hold.lost()
    now.seconds += 0.2

    assert (before, hold.lost()) == (False, True)


def test_a_hold_renews_after_a_third_and_counts_from_before_the_request(database: Db) -> None:
    now = Hand()
    ours = leases(database, "a", 30, now=now)
    hold = Hold(ours, granted(ours), now)

    now.seconds += 9.9
    hold.renew_when_due()
    early = hold.lease.until
    now.seconds += 0.2
    hold.renew_when_due()

    assert early == 1030.0
    assert hold.lease.until == pytest.approx(1040.1)


def test_a_hold_learns_that_another_has_the_lease(database: Db) -> None:
    now = Hand()
    ours = leases(database, "a", 30, now=now)
    hold = Hold(ours, granted(ours), now)
    expire(database)
    granted(leases(database, "b"))

    now.seconds += 11
    hold.renew_when_due()

    assert hold.lost()


def test_a_hold_survives_an_absence_of_mongodb_that_is_shorter_than_the_lease(
    database: Db,
) -> None:
    now = Hand()
    lease = granted(leases(database, "a", 0.6, now=now))
    with mongo.connect("mongodb://127.0.0.1:9", timeout=0.1) as client:
        away = leases(mongo.database(client, database.name), "a", 0.6, now=now)
        hold = Hold(away, lease, now)

        now.seconds += 0.3
        hold.renew_when_due()
        early = hold.lost()
        now.seconds += 0.3

        assert (early, hold.lost()) == (False, True)


def test_a_run_is_recorded_from_its_start_to_its_end(database: Db) -> None:
    seen: list[dict[str, Any]] = []

    def work(run: JobRun) -> dict[str, Any]:
        seen.extend(database[mongo.JOB_RUNS].find())
        run.progress(done=3)
        return {"counted": 7, "$odd.key": "$value"}

    ended = runner(database, "p").run(Job("count", 60, work, exclusive=True))

    assert isinstance(ended, Ended) and ended.outcome == "succeeded"
    (during,), (after,) = seen, list(database[mongo.JOB_RUNS].find())
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

    (run,) = database[mongo.JOB_RUNS].find()
    assert run["outcome"] == "failed"
    assert "ValueError" in run["error"] and "170" not in str(run)


def test_a_result_that_cannot_be_stored_does_not_stop_the_job(database: Db) -> None:
    ours = runner(database, "p")

    ended = ours.run(Job("count", 0.001, lambda run: {"set": {1, 2}}, exclusive=True))

    assert isinstance(ended, Ended) and ended.outcome == "succeeded"
    assert isinstance(ours.run(Job("count", 60, lambda run: {}, exclusive=True)), Ended)


def test_a_run_whose_process_was_killed_is_closed_by_the_next_one(database: Db) -> None:
    runs = JobRuns(database[mongo.JOB_RUNS])
    killed = RunRecord("r1", "count", "killed", 1, 60, 0, "running")
    runs.save(killed)
    database[mongo.LEASES].insert_one({"_id": "count", "fence": 1, "expires_at": LONG_AGO})

    runner(database, "p").run(Job("count", 60, lambda run: {}, exclusive=True))

    outcomes = {run["instance"]: run["outcome"] for run in runs.history("count")}
    assert outcomes == {"killed": "unfinished", "p": "succeeded"}


def test_the_last_run_of_every_job_is_found_in_the_index(database: Db) -> None:
    mongo.create_indexes(database)
    runs = JobRuns(database[mongo.JOB_RUNS])
    for n in range(20):
        for instance in ("p", "q"):
            record = RunRecord(f"{n}{instance}", "refresh", instance, 0, 10, 100 - n, "succeeded")
            runs.save(record)
            runs.save(replace(record, id=f"x{n}{instance}", job="count", fence=n + 1))

    last = runs.last()
    plan = database.command(
        "explain",
        {
            "aggregate": mongo.JOB_RUNS,
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
    assert begun.wait(5)
    second.start()

    assert first.stop(5)
    assert ran.wait(3)
    second.stop(5)

    outcomes = [run["outcome"] for run in JobRuns(database[mongo.JOB_RUNS]).history("shared")]
    assert outcomes == ["succeeded", "stopped"]


def test_a_job_learns_within_a_lease_time_that_mongodb_went_away(
    mongod_factory: Callable[..., Any],
) -> None:
    server = mongod_factory()
    with mongo.connect(server.uri, timeout=0.5) as client:
        database = mongo.database(client, "test")
        stopped_after: list[float] = []

        def work(run: JobRun) -> dict[str, Any]:
            server.stop(grace=0)
            gone = time.monotonic()
            while not run.stopping():
                time.sleep(0.01)
            stopped_after.append(time.monotonic() - gone)
            return {}

        ended = runner(database, "p", 1.2).run(Job("count", 60, work, exclusive=True))

        assert isinstance(ended, Ended) and ended.outcome == "lost"
        assert stopped_after[0] < 1.2


def test_without_mongodb_an_exclusive_job_waits_and_a_common_one_runs(mongod_uri: str) -> None:
    with mongo.connect("mongodb://127.0.0.1:9", timeout=0.1) as client:
        ran: list[str] = []
        ours = runner(mongo.database(client, "test"), "p")

        again = ours.attempt(Job("shared", 60, lambda: ran.append("shared"), exclusive=True))
        ours.attempt(Job("own", 60, lambda: ran.append("own")))

        assert ran == ["own"]
        assert again == 5.0
        with pytest.raises(StoreUnavailable):
            ours.run(Job("shared", 60, lambda: None, exclusive=True))


def test_a_process_is_listed_while_it_gives_signs_of_life(database: Db) -> None:
    instances = Instances(database[mongo.INSTANCES])
    here, there = this_process("1.2.3", "here"), this_process("1.2.3", "there")
    instances.beat(here)
    instances.beat(there)
    first = {row["_id"]: row["started_at"] for row in instances.all()}
    database[mongo.INSTANCES].update_one({"_id": there.id}, {"$set": {"last_seen": LONG_AGO}})
    instances.beat(here)

    rows = {row["_id"]: row for row in instances.all()}
    assert rows[here.id]["started_at"] == first[here.id]
    assert rows[here.id]["silent"] < 5 < 86_400 < rows[there.id]["silent"]
    assert (rows[here.id]["host"], rows[here.id]["version"]) == ("here", "1.2.3")

    instances.leave(here)
    assert [row["_id"] for row in instances.all()] == [there.id]
