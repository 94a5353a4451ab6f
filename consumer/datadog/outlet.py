"""Where reports go: to Datadog where there is a key, else to the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from consumer.datadog.buffer import Buffer
from consumer.datadog.intake import Account, Intake
from consumer.datadog.logged import LogSender
from consumer.datadog.notices import Notice
from consumer.datadog.points import Point
from consumer.datadog.replies import Reply
from consumer.datadog.sender import Flushed, Sender
from consumer.datadog.state import State
from consumer.metrics import Metrics


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
