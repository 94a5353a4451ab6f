"""Send the buffered points to Datadog, and decide what becomes of those it does not take."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import (
    DATADOG_BUFFER,
    DATADOG_DROPPED,
    DATADOG_REQUESTS,
    DATADOG_SENT,
)
from consumer.monitoring.datadog.buffer import Batch, Buffer, batches, halves, points_of
from consumer.monitoring.datadog.points import Point
from consumer.monitoring.datadog.replies import Reply
from consumer.monitoring.datadog.retry import Timing, retry_while_busy
from consumer.monitoring.datadog.status import Status, StatusTracker
from consumer.monitoring.datadog.version_events import VersionEvent

if TYPE_CHECKING:
    from consumer.monitoring.datadog.intake import Intake

log = structlog.get_logger(__name__)

# Requests of one flush: halving down to many bad series ends somewhere, and goes on next time.
_MAX_REQUESTS = 200


@dataclass(frozen=True, slots=True)
class Flushed:
    """Points that a flush sent and dropped."""

    sent: int = 0
    dropped: int = 0


class Sender:
    """Holds the buffer; what Datadog does not take stays in it, or is dropped and counted."""

    def __init__(
        self,
        *,
        intake: Intake,
        buffer: Buffer,
        metrics: Metrics,
        clock: Callable[[], datetime],
        timing: Timing | None = None,
    ) -> None:
        self._intake = intake
        self._buffer = buffer
        self._metrics = metrics
        self._clock = clock
        self._timing = timing or Timing()
        self._tracker = StatusTracker(buffer, metrics, clock, self._timing.now)
        self._flushing = threading.Lock()
        metrics.set(DATADOG_BUFFER, 0)

    @property
    def status(self) -> Status:
        return self._tracker.status

    def add(self, points: Iterable[Point]) -> None:
        """Take frozen points; they leave with the next flushes."""
        self.count_dropped("buffer_full", self._buffer.add(points))
        self._metrics.set(DATADOG_BUFFER, len(self._buffer))

    def count_dropped(self, reason: str, count: int) -> None:
        """Count points that Datadog never gets."""
        if count:
            self._metrics.count(DATADOG_DROPPED, count, reason=reason)
            log.warning("points for Datadog dropped", reason=reason, points=count)

    def flush(self, stopping: Callable[[], bool], seconds: float, attempts: int = 6) -> Flushed:
        """Send what waits, for at most `seconds` (and the request under way) or until stopping.

        One flush runs at a time; another call returns at once.
        """
        if not self._flushing.acquire(blocking=False):
            return Flushed()
        try:
            flushed = self._flush(stopping, self._timing.now() + seconds, attempts)
        finally:
            self._flushing.release()
        self._metrics.set(DATADOG_BUFFER, len(self._buffer))
        return flushed

    def post(self, event: VersionEvent, stopping: Callable[[], bool], seconds: float) -> Reply:
        """Send an event, with retries; `not_sent` while Datadog is not to be asked."""
        if not self._tracker.may_ask:
            return Reply("not_sent", fault="waiting as Datadog asked")
        end = self._timing.now() + seconds
        reply = self._request(lambda: self._intake.post(event), stopping, end, 3)
        if reply.meaning != "bad":
            # A bad event says nothing about the points that wait.
            self._tracker.record(reply)
        return reply

    def close(self) -> None:
        """Let the connection go; what is buffered goes with the process."""
        self._intake.close()

    def _flush(self, stopping: Callable[[], bool], end: float, attempts: int) -> Flushed:
        old, ahead = self._buffer.expire(int(self._clock().timestamp()))
        self.count_dropped("too_old", old)
        self.count_dropped("ahead", ahead)
        flushed = Flushed(dropped=old + ahead)
        if not self._tracker.may_ask:
            return flushed
        waiting = deque(batches(self._buffer.points()))
        for _ in range(_MAX_REQUESTS):
            if not waiting or stopping() or self._timing.now() >= end:
                break
            batch = waiting.popleft()
            reply = self._request(self._submitting(batch), stopping, end, attempts)
            flushed = self._handle_reply(batch, reply, flushed, waiting)
            if reply.meaning in ("busy", "unauthorised", "refused", "not_sent"):
                break
        return flushed

    def _submitting(self, batch: Batch) -> Callable[[], Reply]:
        return lambda: self._intake.submit(batch)

    def _handle_reply(
        self, batch: Batch, reply: Reply, flushed: Flushed, waiting: deque[Batch]
    ) -> Flushed:
        """Remove a batch from the buffer, or leave it there; its halves come next."""
        points = points_of(batch)
        self._tracker.record(reply)
        if reply.meaning == "accepted":
            self._buffer.remove(points)
            self._metrics.count(DATADOG_SENT, len(points))
            return replace(flushed, sent=flushed.sent + len(points))
        parts = halves(batch) if reply.meaning in ("too_large", "bad") else None
        # One series that is bad is bad at every second; one that is too large may be cut on.
        if parts and (reply.meaning == "too_large" or len(batch) > 1):
            waiting.extendleft(reversed(parts))
        elif reply.meaning in ("too_large", "bad"):
            self._buffer.remove(points)
            self.count_dropped("rejected" if reply.meaning == "bad" else "too_large", len(points))
            log.warning(
                "Datadog refused a series",
                metric=batch[0][0].name,
                points=len(points),
                why=reply.text,
            )
            return replace(flushed, dropped=flushed.dropped + len(points))
        return flushed

    def _request(
        self, request: Callable[[], Reply], stopping: Callable[[], bool], end: float, attempts: int
    ) -> Reply:
        def counted() -> Reply:
            reply = request()
            self._metrics.count(DATADOG_REQUESTS, outcome=reply.meaning)
            return reply

        return retry_while_busy(counted, stopping, end, self._timing, attempts)
