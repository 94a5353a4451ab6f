"""Report to the log what would go to Datadog, where there is no API key."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import structlog

from consumer.datadog.notices import Notice
from consumer.datadog.points import Point
from consumer.datadog.replies import Reply
from consumer.datadog.sender import Flushed
from consumer.datadog.state import State

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
