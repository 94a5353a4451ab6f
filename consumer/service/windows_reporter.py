"""Tell the service control manager of Windows how the service is."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

import servicemanager
import win32service

from consumer.service.names import NAME

# Milliseconds: within them the next checkpoint comes, or the manager takes the service for hung.
START_HINT = 90_000
STOP_HINT = 20_000
_CHECKPOINT_EVERY = 1.0


class Framework(Protocol):
    """What is used of a ServiceFramework (pywin32 has no types for it)."""

    def report(self, state: int, wait_hint: int) -> None: ...


class Reporter:
    """A `Manager` (see manager.py) that tells the service control manager of Windows."""

    every = 5.0

    def __init__(self, framework: Framework, give_up: Callable[[], None], longest: float) -> None:
        self._framework = framework
        self._give_up = give_up
        self._started = monotonic()
        self._longest = longest
        self._last = float("-inf")
        self._stuck = False

    def starting(self) -> None:
        if monotonic() - self._started > self._longest:
            self._give_up()
        self._checkpoint(win32service.SERVICE_START_PENDING, START_HINT)

    def ready(self) -> None:
        self._framework.report(win32service.SERVICE_RUNNING, 0)
        event(servicemanager.PYS_SERVICE_STARTED)

    def alive(self) -> None:
        """Windows asks for no signs of life."""
        self._stuck = False

    def well(self, summary: str) -> None:
        """Windows has no place for it."""

    def stuck(self, what: str) -> None:
        """A warning in the event log, once for as long as it lasts."""
        if not self._stuck:
            self._stuck = True
            servicemanager.LogWarningMsg(f"{NAME}: {what}")

    def stopping(self) -> None:
        self._checkpoint(win32service.SERVICE_STOP_PENDING, STOP_HINT)

    def _checkpoint(self, state: int, hint: int) -> None:
        if monotonic() - self._last >= _CHECKPOINT_EVERY:
            self._last = monotonic()
            self._framework.report(state, hint)


def event(number: int) -> None:
    """Note an event of the service in the event log."""
    servicemanager.LogMsg(servicemanager.EVENTLOG_INFORMATION_TYPE, number, (NAME, ""))
