"""How we stand with Datadog: whether it takes what we send, and when it may be asked again."""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import replace
from datetime import datetime

import structlog

from consumer.datadog.replies import Reply
from consumer.datadog.state import State
from consumer.metrics import Metrics
from consumer.metrics.table import DATADOG_LAST_SUCCESS

log = structlog.get_logger(__name__)

# A refused key is tried at most once in this time (seconds).
_KEY_PAUSE = 60.0


class Standing:
    """Draws from each reply what it says about the next ones; `waiting` is what the buffer holds,
    `now` a monotonic clock."""

    def __init__(
        self,
        waiting: Sized,
        metrics: Metrics,
        clock: Callable[[], datetime],
        now: Callable[[], float],
    ) -> None:
        self._waiting = waiting
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._state = State()
        self._not_before = float("-inf")

    @property
    def state(self) -> State:
        return replace(self._state, buffered=len(self._waiting))

    @property
    def may_ask(self) -> bool:
        """Whether Datadog may be asked now: it may have said how long to wait."""
        return self._now() >= self._not_before

    def take(self, reply: Reply) -> None:
        """Remember what a reply says."""
        if reply.errors:
            log.warning("Datadog accepted points with errors", errors=reply.errors)
        if reply.meaning == "accepted":
            now = self._clock()
            if self._state.fault:
                log.info("Datadog takes points again")
            self._state = State(last_success=now)
            self._metrics.set(DATADOG_LAST_SUCCESS, now.timestamp())
            return
        if reply.meaning in ("bad", "too_large", "not_sent"):
            return
        key_refused = reply.meaning == "unauthorised"
        pause = _KEY_PAUSE if key_refused else reply.wait or 0.0
        self._not_before = self._now() + pause
        self._state = replace(self._state, unauthorised=key_refused, fault=reply.text)
        log.warning("Datadog does not take points", state=self.state.text)
