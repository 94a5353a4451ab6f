"""Take reports: for Datadog where there is an API key, else for the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import Protocol

import structlog

from consumer.core.metrics import Metrics
from consumer.monitoring.datadog.buffer import Buffer
from consumer.monitoring.datadog.points import Point
from consumer.monitoring.datadog.replies import Account, Reply
from consumer.monitoring.datadog.sender import Flushed, Sender
from consumer.monitoring.datadog.status import Status
from consumer.monitoring.datadog.version_events import VersionEvent

log = structlog.get_logger(__name__)

# Series in one line of the log.
_A_LINE = 50


class Sink(Protocol):
    """A taker of points and events: Sender or LogSink."""

    @property
    def status(self) -> Status: ...

    def add(self, points: Iterable[Point]) -> None: ...

    def count_dropped(self, reason: str, count: int) -> None: ...

    def flush(
        self, stopping: Callable[[], bool], seconds: float, attempts: int = ...
    ) -> Flushed: ...

    def post(self, event: VersionEvent, stopping: Callable[[], bool], seconds: float) -> Reply: ...

    def close(self) -> None: ...


def open_sink(
    account: Account | None, limit: int, metrics: Metrics, clock: Callable[[], datetime]
) -> Sink:
    """The sink for an account (None: no key), which buffers up to `limit` points."""
    if account is None:
        return LogSink()
    # Here, for it brings urllib3, whose import most starts can do without.
    from consumer.monitoring.datadog.intake import Intake  # noqa: PLC0415

    intake = Intake(account, clock)
    return Sender(intake=intake, buffer=Buffer(limit), metrics=metrics, clock=clock)


class LogSink:
    """The twin of Sender without Datadog: the same series, at DEBUG, once a report; `/metrics` has
    them too."""

    @property
    def status(self) -> Status:
        return Status(has_key=False)

    def add(self, points: Iterable[Point]) -> None:
        remaining = iter(points)
        while line := list(islice(remaining, _A_LINE)):
            log.debug("metrics", series={_series_name(point): point.value for point in line})

    def count_dropped(self, reason: str, count: int) -> None:
        log.debug("metrics left out", reason=reason, points=count)

    def flush(self, *_: object, **__: object) -> Flushed:
        return Flushed()

    def post(self, event: VersionEvent, *_: object) -> Reply:
        log.info(event.about, title=event.title, text=event.text)
        return Reply("accepted")

    def close(self) -> None:
        """Nothing is open."""


def _series_name(point: Point) -> str:
    return f"{point.series.name}{{{','.join(point.series.tags)}}}"
