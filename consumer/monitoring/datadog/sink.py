"""Where reports go: to Datadog where there is a key, else to the log.

Report to the log what would go to Datadog, where there is no API key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import Protocol

import structlog

from consumer.core.metrics import Metrics
from consumer.monitoring.datadog.buffer import Buffer
from consumer.monitoring.datadog.intake import Account, Intake
from consumer.monitoring.datadog.points import Point
from consumer.monitoring.datadog.sender import Flushed, Sender
from consumer.monitoring.datadog.status import State
from consumer.monitoring.datadog.transport import Reply
from consumer.monitoring.datadog.version_events import Notice


class Outlet(Protocol):
    """What Sender and LogSender have in common."""

    @property
    def state(self) -> State: ...

    def keep(self, points: Iterable[Point]) -> None: ...

    def drop(self, reason: str, count: int) -> None: ...

    def flush(
        self, stopping: Callable[[], bool], seconds: float, attempts: int = ...
    ) -> Flushed: ...

    def post(self, notice: Notice, stopping: Callable[[], bool], seconds: float) -> Reply: ...

    def close(self) -> None: ...


def outlet(
    account: Account | None, limit: int, metrics: Metrics, clock: Callable[[], datetime]
) -> Outlet:
    """The way out for an account (None: no key), with room for `limit` points."""
    if account is None:
        return LogSender()
    channel = Intake(account, clock)
    return Sender(channel=channel, buffer=Buffer(limit), metrics=metrics, clock=clock)


log = structlog.get_logger(__name__)

# A log line holds at most so many items.
_A_LINE = 50


class LogSender:
    """The twin of Sender without Datadog: the same series, at DEBUG, once a report; `/metrics` has
    them too."""

    @property
    def state(self) -> State:
        return State(has_key=False)

    def keep(self, points: Iterable[Point]) -> None:
        remaining = iter(points)
        while line := list(islice(remaining, _A_LINE)):
            log.debug("metrics", series={_shown(point): point.value for point in line})

    def drop(self, reason: str, count: int) -> None:
        log.debug("metrics left out", reason=reason, points=count)

    def flush(self, *_: object, **__: object) -> Flushed:
        return Flushed()

    def post(self, notice: Notice, *_: object) -> Reply:
        log.info("schema changed", title=notice.title, changes=notice.text)
        return Reply("accepted")

    def close(self) -> None:
        """Nothing is held."""


def _shown(point: Point) -> str:
    return f"{point.series.name}{{{','.join(point.series.tags)}}}"
