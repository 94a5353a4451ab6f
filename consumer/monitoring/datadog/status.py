"""Track what Datadog answers: the status for operators, and when it may be asked again."""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import DATADOG_LAST_SUCCESS
from consumer.monitoring.datadog.replies import Reply

log = structlog.get_logger(__name__)

# A refused key is tried at most once in this time (seconds).
_KEY_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Status:
    """`fault` is what the last request met, "" when it went well; times are UTC."""

    buffered: int = 0
    last_success: datetime | None = None
    unauthorised: bool = False
    fault: str = ""
    has_key: bool = True

    @property
    def ok(self) -> bool:
        return not self.fault

    @property
    def text(self) -> str:
        """One line for `/readyz` and `status`."""
        if not self.has_key:
            return "DD_API_KEY is not set: metrics are at /metrics, and in the log at debug"
        if self.unauthorised:
            now = f"the API key is refused ({self.fault}): check DD_API_KEY and DD_SITE"
        elif self.fault:
            now = f"not taking points ({self.fault})"
        elif self.last_success is None:
            now = "nothing sent yet"
        else:
            now = "reporting"
        since = (
            f", last success {self.last_success:%Y-%m-%dT%H:%M:%SZ}" if self.last_success else ""
        )
        return f"{now}{since}, {self.buffered} point(s) waiting"


class StatusTracker:
    """Derives the status and the pause before the next request from each reply; `waiting` is the
    buffer, `now` a monotonic clock."""

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
        self._status = Status()
        self._not_before = float("-inf")

    @property
    def status(self) -> Status:
        return replace(self._status, buffered=len(self._waiting))

    @property
    def may_ask(self) -> bool:
        """Say if Datadog may be asked now: it may have said how long to wait."""
        return self._now() >= self._not_before

    def record(self, reply: Reply) -> None:
        """Update the status from a reply."""
        if reply.errors:
            log.warning("Datadog accepted points with errors", errors=reply.errors)
        if reply.meaning == "accepted":
            now = self._clock()
            if self._status.fault:
                log.info("Datadog takes points again")
            self._status = Status(last_success=now)
            self._metrics.set(DATADOG_LAST_SUCCESS, now.timestamp())
            return
        if reply.meaning in ("bad", "too_large", "not_sent"):
            return
        key_refused = reply.meaning == "unauthorised"
        pause = _KEY_PAUSE if key_refused else reply.wait or 0.0
        self._not_before = self._now() + pause
        self._status = replace(self._status, unauthorised=key_refused, fault=reply.text)
        log.warning("Datadog does not take points", state=self.status.text)
