"""Retry a request while Datadog is busy, within bounds, and end at once when asked to stop."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, retry_if_result

from consumer.monitoring.datadog.replies import Reply

# Seconds: the first wait is at most one, later ones at most a minute.
_FIRST, _LONGEST = 1.0, 60.0
# How long a stop may go unseen.
_SLICE = 0.2
_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Timing:
    """Clock, sleep and chance, handed in so that tests need none of them."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


def retry_while_busy(
    request: Callable[[], Reply],
    stopping: Callable[[], bool],
    end: float,
    timing: Timing,
    attempts: int = _ATTEMPTS,
) -> Reply:
    """The reply after at most `attempts` requests, none begun after `end` (by `timing.now`) or once
    stopping. Waits as long as the server asked, else exponentially with full jitter; a wait that
    would reach beyond `end` is not begun."""

    def wait(state: RetryCallState) -> float:
        asked = _last(state).wait
        if asked is not None:
            return asked
        exponential: float = _FIRST * 2 ** (state.attempt_number - 1)
        return timing.jitter() * min(_LONGEST, exponential)

    def pause(seconds: float) -> None:
        until = timing.now() + seconds
        while (left := until - timing.now()) > 0 and not stopping():
            timing.sleep(min(left, _SLICE))

    def enough(state: RetryCallState) -> bool:
        return state.attempt_number >= attempts or timing.now() + state.upcoming_sleep >= end

    retrying = Retrying(
        retry=retry_if_result(lambda reply: reply.meaning == "busy" and not stopping()),
        stop=enough,
        wait=wait,
        sleep=pause,
        # Out of time or attempts: the last reply, not an exception.
        retry_error_callback=_last,
    )

    def once() -> Reply:
        # A stop may have come while we waited.
        return Reply("not_sent", fault="stopped") if stopping() else request()

    return retrying(once)


def _last(state: RetryCallState) -> Reply:
    assert state.outcome is not None  # noqa: S101
    reply: Reply = state.outcome.result()
    return reply
