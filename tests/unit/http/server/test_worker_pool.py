from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import pytest

from consumer.core.group_commit import GroupCommit
from consumer.http.server.worker_pool import BATCH, WorkerPool
from tests.support.service import eventually


@dataclass(slots=True)
class Item:
    name: int
    size: int = 10


class Task:
    """A channel, as far as a dispatcher knows one."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.ended = threading.Event()
        self.cancelled = False

    def service(self) -> None:
        self._call()
        self.ended.set()

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool()
    made.set_thread_count(3)
    eventually(lambda: made.active_count == 0)
    yield made
    made.shutdown()
    assert not made.threads


def add(pool: Any, task: Task) -> Task:
    pool.add_task(task)
    return task


def test_what_comes_during_a_write_shares_the_next_ones(pool: WorkerPool) -> None:
    opened = threading.Event()
    batches: list[list[int]] = []

    def write(items: Sequence[Item]) -> None:
        batches.append([item.name for item in items])
        assert opened.wait(20)

    group = GroupCommit(write, in_flight=1)
    first = add(pool, Task(lambda: group.submit(Item(0))))
    eventually(lambda: batches)
    # The thread that prepares these is held until all are there.
    held = threading.Event()
    holder = add(pool, Task(lambda: held.wait(20)))
    eventually(lambda: not pool.queue)
    tasks = [add(pool, Task(partial(group.submit, Item(n)))) for n in range(1, 41)]
    held.set()
    opened.set()

    assert all(task.ended.wait(20) for task in (first, holder, *tasks))
    assert sorted(name for batch in batches for name in batch) == list(range(41))
    assert len(batches) <= 1 + 40 // BATCH + 2


def test_tasks_behind_one_that_is_stuck_are_taken_by_another_thread(pool: WorkerPool) -> None:
    stuck = threading.Event()
    add(pool, Task(lambda: stuck.wait(20)))
    eventually(lambda: not pool.queue)
    behind = add(pool, Task(lambda: None))
    until = monotonic() + 10
    unprodded = behind.ended.wait(0.05)

    while not behind.ended.is_set() and monotonic() < until:
        pool.unstick()
        behind.ended.wait(0.005)

    assert not unprodded
    assert behind.ended.is_set()
    stuck.set()


def test_a_task_that_breaks_ends_its_connection_alone(pool: WorkerPool) -> None:
    def fault() -> None:
        raise RuntimeError

    broken = add(pool, Task(fault))
    whole = add(pool, Task(lambda: None))

    assert whole.ended.wait(20)
    assert broken.cancelled


def test_without_tasks_nobody_needs_to_be_unstuck(pool: WorkerPool) -> None:
    assert pool.unstick() is False


def test_what_comes_alone_is_always_done_by_the_same_thread(pool: WorkerPool) -> None:
    threads: list[int] = []

    for _ in range(20):
        add(pool, Task(lambda: threads.append(threading.get_ident()))).ended.wait(20)
        eventually(lambda: pool.active_count == 0)

    assert len(threads) == 20
    assert len(set(threads)) == 1
