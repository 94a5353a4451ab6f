"""Of what repeats, one passes in an interval, and the next knows how many did not."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

from consumer.core.ratelimit import RateLimit

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_one_of_a_key_passes_in_an_interval_and_the_next_knows_how_many_did_not() -> None:
    clock = Clock()
    limit = RateLimit(60, clock)

    first = [limit.allow("a") for _ in range(4)]
    clock.forward(59.9)
    before = limit.allow("a")
    clock.forward(0.1)

    assert first == [0, None, None, None]
    assert before is None
    assert limit.allow("a") == 4
    assert limit.allow("a") is None


def test_keys_do_not_stop_each_other() -> None:
    limit = RateLimit(60, Clock())

    assert [limit.allow(key) for key in "aba"] == [0, 0, None]


def test_keys_beyond_the_bound_share_one_place() -> None:
    clock = Clock()
    limit = RateLimit(60, clock, max_keys=10)

    passed = [limit.allow(str(number)) for number in range(1000)]
    clock.forward(61)
    after = [limit.allow(f"new {number}") for number in range(9)]

    assert passed.count(0) == 11
    assert passed.count(None) == 989
    assert after == [0] * 9


def test_what_was_stopped_in_the_shared_place_is_not_lost() -> None:
    clock = Clock()
    limit = RateLimit(60, clock, max_keys=2)
    for number in range(10):
        limit.allow(str(number))
    clock.forward(30)
    limit.allow("0")
    clock.forward(31)
    limit.allow("a")

    assert limit.allow("b") == 7


def test_a_clock_set_back_silences_nothing() -> None:
    clock = Clock()
    limit = RateLimit(60, clock)
    limit.allow("a")
    clock.forward(-3600)

    assert limit.allow("a") == 0


def test_of_many_threads_one_passes() -> None:
    limit = RateLimit(60, Clock())
    answers: list[int | None] = []

    def ask() -> None:
        answers.extend(limit.allow("a") for _ in range(500))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers.count(None) == 3999
