"""Read how the service manager that started this process wants to hear from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Supervision:
    """systemd's socket for news (None: nobody listens), and the longest time in seconds between
    two signs of life (None: none are asked for)."""

    socket: str | None = None
    watchdog: float | None = None


def from_process() -> Supervision:
    """What the environment of this process says."""
    return read(os.environ, os.getpid())


def read(environ: Mapping[str, str], pid: int) -> Supervision:
    """As sd_notify(3) and sd_watchdog_enabled(3) read it: the watchdog may be meant for another
    process, whose environment was inherited."""
    socket = environ.get("NOTIFY_SOCKET") or None
    asked = environ.get("WATCHDOG_USEC", "")
    meant_for = environ.get("WATCHDOG_PID") or str(pid)
    if socket is None or meant_for != str(pid) or not asked.isdecimal() or not int(asked):
        return Supervision(socket)
    return Supervision(socket, int(asked) / 1_000_000)
