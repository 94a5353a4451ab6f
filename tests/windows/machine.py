"""A Windows with services: what its manager knows, is told, and does."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
STOP, INTERROGATE, SHUTDOWN, PRESHUTDOWN = 1, 4, 5, 15
SPECIFIC_ERROR = 1066
DISABLED = 4


class ApiError(Exception):
    """pywintypes.error."""

    def __init__(self, winerror: int, funcname: str, strerror: str) -> None:
        super().__init__(winerror, funcname, strerror)
        self.winerror, self.funcname, self.strerror = winerror, funcname, strerror


@dataclass(frozen=True)
class Status:
    """Calls of SetServiceStatus, with their times."""

    at: float
    state: int
    accepted: int
    exit_code: int
    specific: int
    checkpoint: int
    wait_hint: int


@dataclass
class Installed:
    """A service in the database of the manager."""

    display: str
    start_type: int
    command: str
    account: str | None
    password: str | None
    config2: dict[int, Any] = field(default_factory=dict)


@dataclass
class Windows:
    """One machine; `on_start` runs a service when it is started, from a thread, and `on_status`
    hears what it reports."""

    services: dict[str, Installed] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    events: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    descriptors: dict[str, str] = field(default_factory=dict)
    held_when_closed: dict[str, list[str]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    denied: bool = False
    handler: Callable[[int, int, Any], Any] | None = None
    hosted: Any = None
    on_start: Callable[[], None] | None = None
    on_status: Callable[[int], None] = lambda state: None

    # -- the service control manager -------------------------------------------------------------

    @property
    def state(self) -> int:
        return self.statuses[-1].state if self.statuses else STOPPED

    def control(self, code: int) -> None:
        """Send a control to the running service, if it accepts it now."""
        accepts = {STOP: 1, SHUTDOWN: 4, PRESHUTDOWN: 0x100, INTERROGATE: 0}[code]
        if not self.statuses or self.statuses[-1].state == STOPPED:
            raise ApiError(1062, "ControlService", "The service has not been started.")
        # Whatever a service says that it accepts (documentation of ControlService).
        pending = self.statuses[-1].state in (START_PENDING, STOP_PENDING)
        if accepts and (pending or not self.statuses[-1].accepted & accepts):
            raise ApiError(1061, "ControlService", "The service cannot accept controls now.")
        assert self.handler is not None
        self.handler(code, 0, None)

    def start(self, name: str) -> None:
        if name not in self.services:
            raise ApiError(1060, "StartService", "The specified service does not exist.")
        if self.services[name].start_type == DISABLED:
            raise ApiError(1058, "StartService", "The service is disabled.")
        if self.state != STOPPED:
            raise ApiError(1056, "StartService", "An instance is already running.")
        assert self.on_start is not None
        self.set_status(1, (0x10, START_PENDING, 0, 0, 0, 0, 2000))
        threading.Thread(target=self.on_start, daemon=True).start()

    def _start_anew(self, name: str, delay: float) -> None:
        """The failure action of a service that ended with an error."""

        def start() -> None:
            with contextlib.suppress(ApiError):
                self.start(name)

        timer = threading.Timer(delay, start)
        timer.daemon = True
        timer.start()

    def await_state(self, state: int, timeout: float = 30.0) -> None:
        end = time.monotonic() + timeout
        while self.state != state:
            assert time.monotonic() < end, self.statuses[-5:]
            time.sleep(0.02)

    def service_main(self, name: str) -> None:
        """The part of `service_main` of PythonService.cpp for the class it hosts."""
        instance = self.hosted([name])
        assert self.handler is not None, "no control handler was registered"
        self.set_status(1, (0x10, START_PENDING, 0, 0, 0, 0, 5000))
        try:
            instance.SvcRun()
        except Exception:
            self.events.append((1, 3, (traceback.format_exc(),)))
            self.set_status(1, (0x10, STOPPED, 0, SPECIFIC_ERROR, 0x20000001, 0, 0))
        else:
            self.set_status(1, (0x10, STOPPED, 0, 0, 0, 0, 0))

    def set_status(self, handle: int, status: tuple[int, int, int, int, int, int, int]) -> None:
        assert handle == 1
        assert all(type(number) is int for number in status), status
        _, state, accepted, code, specific, checkpoint, hint = status
        assert self.state != STOPPED or not self.statuses or state == START_PENDING
        self.statuses.append(
            Status(time.monotonic(), state, accepted, code, specific, checkpoint, hint)
        )
        for name, service in self.services.items():
            # The flag of level 4: an end with an error is a failure, too.
            if state == STOPPED and code and service.config2.get(4):
                self._start_anew(name, service.config2[2]["Actions"][0][1] / 1000)
        self.on_status(state)
