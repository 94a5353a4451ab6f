"""The scheduler and its runner without a database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer.cli.serve import jobs_go_on
from consumer.core.errors import SetupError, StoreUnavailable
from consumer.core.metrics import Metrics
from jobs.scheduling.job import Job, JobRun, RunResult
from jobs.scheduling.runner import Runner
from jobs.scheduling.scheduler import Scheduler

PATIENCE = 5.0


@contextmanager
def running(*jobs: Job) -> Iterator[Scheduler]:
    scheduler = Scheduler(jobs)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.stop(PATIENCE)


def after(count: int) -> tuple[threading.Event, Any]:
    """An event that is set when the function was called `count` times."""
    reached, calls = threading.Event(), iter(range(1, count))

    def call() -> None:
        if next(calls, None) is None:
            reached.set()

    return reached, call


def test_a_job_runs_at_the_start_and_then_at_its_interval() -> None:
    reached, call = after(3)

    with running(Job("often", 0.01, call)):
        assert reached.wait(PATIENCE)


def test_the_next_run_does_not_come_before_its_interval() -> None:
    twice, call = after(2)

    with running(Job("rare", 60, call)):
        assert not twice.wait(0.3)


def test_jobs_of_one_interval_begin_together_only_at_the_start() -> None:
    every, number = 0.4, 3
    begun: list[list[float]] = [[] for _ in range(number)]
    twice = [after(2) for _ in begun]

    def note(n: int) -> None:
        begun[n].append(monotonic())
        twice[n][1]()

    with running(*(Job(f"job {n}", every, partial(note, n)) for n in range(number))):
        assert all(reached.wait(PATIENCE) for reached, _ in twice)
    # Each later than the one before it, by more than a half of what is meant.
    for n, (first, second, *_) in enumerate(begun):
        assert second - first > every + n * 0.05


def test_a_job_does_not_run_before_it_is_ready() -> None:
    is_ready = threading.Event()
    reached, call = after(1)

    with running(Job("late", 0.01, call, ready=is_ready.is_set)):
        assert not reached.wait(0.3)
        is_ready.set()
        assert reached.wait(PATIENCE)


@pytest.mark.parametrize("error", [ValueError("ours"), StoreUnavailable("away")])
def test_a_job_that_fails_runs_again_and_stops_no_other(error: Exception) -> None:
    failed, count = after(3)
    ran, call = after(3)

    def fail() -> None:
        count()
        raise error

    with running(Job("fails", 0.01, fail), Job("works", 0.01, call)):
        assert failed.wait(PATIENCE)
        assert ran.wait(PATIENCE)


def test_a_long_run_keeps_no_other_job_waiting() -> None:
    ran, call = after(3)
    begun = [threading.Event() for _ in range(6)]

    def hang(event: threading.Event) -> Any:
        def work(run: JobRun) -> dict[str, Any]:
            event.set()
            while not run.stopping():
                threading.Event().wait(0.01)
            return {}

        return work

    long = [Job(f"long {n}", 60, hang(event)) for n, event in enumerate(begun)]
    with running(*long, Job("short", 0.01, call)):
        assert all(event.wait(PATIENCE) for event in begun)
        assert ran.wait(PATIENCE)


def test_runs_that_follow_each_other_closely_are_not_skipped() -> None:
    jobs = [after(40) for _ in range(4)]

    with running(*(Job(f"busy {n}", 0, call) for n, (_, call) in enumerate(jobs))):
        assert all(reached.wait(PATIENCE) for reached, _ in jobs)


def test_stop_asks_a_run_to_end_and_waits_for_it() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(run: JobRun) -> dict[str, Any]:
        begun.set()
        while not run.stopping():
            threading.Event().wait(0.01)
        ended.set()
        return {}

    with running(Job("long", 60, work)) as scheduler:
        assert begun.wait(PATIENCE)

        assert scheduler.stop(PATIENCE)
        assert ended.is_set()
        assert not scheduler.running


def test_stop_leaves_a_run_that_does_not_end_in_time() -> None:
    begun, release = threading.Event(), threading.Event()

    def deaf() -> None:
        begun.set()
        release.wait(PATIENCE)

    with running(Job("deaf", 60, deaf)) as scheduler:
        assert begun.wait(PATIENCE)

        assert not scheduler.stop(0.05)
        release.set()


def test_a_run_that_was_left_behind_loses_mongodb_without_a_warning() -> None:
    begun, client_closed = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        client_closed.wait(PATIENCE)
        raise StoreUnavailable("closed")

    with capture_logs() as lines, running(Job("long", 60, work)) as scheduler:
        assert begun.wait(PATIENCE)
        assert not scheduler.stop(0.05)
        client_closed.set()

        assert scheduler.stop(PATIENCE)
    assert [line["log_level"] for line in lines if line["event"] == "job failed"] == ["debug"]


def test_an_exclusive_job_needs_leases() -> None:
    with pytest.raises(SetupError, match="exclusive"):
        Runner().run(Job("shared", 60, lambda: None, exclusive=True))


def test_a_common_job_has_fence_0_and_hands_over_its_result() -> None:
    ended = Runner().run(Job("own", 60, lambda run: {"fence": run.fence}))

    assert ended == RunResult("succeeded", {"fence": 0})


def test_too_many_facts_of_progress_are_a_fault_of_the_job() -> None:
    def talk(run: JobRun) -> dict[str, Any]:
        for n in range(1000):
            run.progress(**{f"fact {n}": n})
        return {}

    ended = Runner().run(Job("talks", 60, talk))

    assert isinstance(ended, RunResult) and ended.outcome == "failed"


def test_runs_are_counted_by_outcome() -> None:
    metrics = Metrics()
    ours = Runner(metrics=metrics)

    def fail() -> None:
        raise ValueError

    ours.attempt(Job("works", 60, lambda: None))
    ours.attempt(Job("fails", 60, fail))

    text = metrics.render().decode()
    assert 'job_runs_total{job="works",outcome="succeeded"} 1.0' in text
    assert 'job_runs_total{job="fails",outcome="failed"} 1.0' in text
    assert 'job_last_success_age{job="works"} 0.0' in text
    assert 'job_last_success_age{job="fails"}' not in text


def test_a_job_that_goes_on_is_seen_though_the_thread_of_its_pool_is_a_daemon_by_name() -> None:
    goes_on, pool = threading.Event(), ThreadPoolExecutor(1)
    begun = threading.Thread(target=pool.submit, args=(goes_on.wait, 60), daemon=True)
    begun.start()
    begun.join()
    try:
        assert jobs_go_on()
    finally:
        goes_on.set()
        pool.shutdown()
