"""Values that are read once for all who look at about the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from consumer.console.context import Cached


def test_it_is_read_again_when_it_is_old() -> None:
    now, reads = [0.0], iter(range(10))
    cached = Cached(lambda: next(reads), 2.0, lambda: now[0])

    found = []
    for now[0] in (0.0, 1.9, 2.0, 3.9, 4.1):
        found.append(cached())

    assert found == [0, 0, 1, 1, 2]


def test_a_failed_read_is_not_remembered() -> None:
    answers: Iterator[str | Exception] = iter([ValueError("away"), "there"])

    def read() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cached = Cached(read, 60.0)
    with pytest.raises(ValueError, match="away"):
        cached()

    assert cached() == "there"


def test_many_who_ask_at_once_wait_for_one_read() -> None:
    reads: list[int] = []
    gate = threading.Event()

    def read() -> int:
        gate.wait(5)
        reads.append(1)
        return len(reads)

    cached = Cached(read, 60.0)
    threads = [threading.Thread(target=cached) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()

    assert reads == [1]
