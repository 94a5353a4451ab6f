"""Run the service for Windows: pywin32 calls `SvcRun`, and a reporter says how it goes.

Windows waits 30 seconds for a process that it started to ask for its service, and a cold or busy
machine imports the whole of it for longer: that is imported once the service reports.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import servicemanager
import structlog
import win32service
import win32serviceutil

from config.faults import SettingsError
from consumer.core.errors import ConsumerError, SetupError, place_of
from consumer.os_service.layout import DESCRIPTION, LONGEST_START, NAME, TITLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from config.loading import Settings
    from consumer.runtime.service import Service

log = structlog.get_logger(__name__)

# Milliseconds: within them the next checkpoint comes, or the manager takes the service for hung.
START_HINT = 90_000
STOP_HINT = 20_000
# Seconds between two checkpoints.
_CHECKPOINT_EVERY = 1.0


class ServiceFailed(Exception):
    """An end of the service with a code other than 0; its text goes to the event log."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The settings to run with, read when the service starts, so that their faults are reported."""

    settings: Callable[[], Settings]
    embedded: bool = False
    longest_start: float = LONGEST_START


class ConsumerService(win32serviceutil.ServiceFramework):
    """Runs what `assignment` of the class says."""

    _svc_name_ = NAME
    _svc_display_name_ = TITLE
    _svc_description_ = DESCRIPTION
    assignment: Assignment

    def __init__(self, args: Iterable[str]) -> None:
        super().__init__(args)
        self._state = win32service.SERVICE_START_PENDING
        self._hint = START_HINT
        self._reporting = threading.RLock()
        self._asked_to_stop = threading.Event()
        self._late = False
        self._service: Service | None = None

    # -- what the manager calls -----------------------------------------------------------------

    def GetAcceptedControls(self) -> int:  # noqa: N802
        """Nothing more once it stops. Before a shutdown, because a shutdown itself leaves 5 s."""
        if self._state == win32service.SERVICE_STOP_PENDING:
            return 0
        return win32service.SERVICE_ACCEPT_STOP | win32service.SERVICE_ACCEPT_PRESHUTDOWN

    def SvcStop(self) -> None:  # noqa: N802
        self.report(win32service.SERVICE_STOP_PENDING, STOP_HINT)
        event(servicemanager.PYS_SERVICE_STOPPING)
        self._stop()

    def SvcOtherEx(self, control: int, event_type: int, data: Any) -> None:  # noqa: ARG002, N802
        if control == win32service.SERVICE_CONTROL_PRESHUTDOWN:
            self.SvcStop()

    def SvcInterrogate(self) -> None:  # noqa: N802
        """Say again what was said last; the framework itself would always say `running`."""
        with self._reporting:
            self.report(self._state, self._hint)

    def SvcRun(self) -> None:  # noqa: N802
        """Run to the end. Returning reports `stopped`; raising reports it with an error, for which
        the manager starts the service anew."""
        self.report(win32service.SERVICE_START_PENDING, START_HINT)
        try:
            self._run()
        except (ConsumerError, SettingsError) as error:
            log.error("the service ends", error=str(error))  # noqa: TRY400
            raise ServiceFailed(str(error)) from None
        except Exception as error:
            # Its message may quote a payload, so only its kind and place are logged.
            log.error(  # noqa: TRY400
                "the service ends", error=type(error).__name__, place=place_of(error)
            )
            raise ServiceFailed(f"unexpected {type(error).__name__}: the log says where") from None
        log.info("stopped")
        event(servicemanager.PYS_SERVICE_STOPPED)

    # -- what happens then ----------------------------------------------------------------------

    def report(self, state: int, wait_hint: int) -> None:
        """Report to the manager; once it is stopping there is no way back."""
        with self._reporting:
            if self._state == win32service.SERVICE_STOP_PENDING:
                state, wait_hint = self._state, STOP_HINT
            self._state, self._hint = state, wait_hint
            self.ReportServiceStatus(state, waitHint=wait_hint)

    def _run(self) -> None:
        from consumer.os_service import watch  # noqa: PLC0415 - see above

        assignment = self.assignment
        settings = assignment.settings()
        reporter = Reporter(self, self._give_up, assignment.longest_start)
        watch.run(settings, reporter, self._begun, embedded=assignment.embedded)
        if self._late:
            raise SetupError(
                f"no delivery could be kept within {assignment.longest_start:.0f} s of the start:"
                " check MongoDB and the data directory"
            )

    def _begun(self, service: Service) -> None:
        self._service = service
        log.info("listening", url=service.url)
        # Asked before there was anything to stop.
        if self._asked_to_stop.is_set():
            service.stop()

    def _stop(self) -> None:
        self._asked_to_stop.set()
        if self._service is not None:
            self._service.stop()

    def _give_up(self) -> None:
        self._late = True
        self._stop()


class Framework(Protocol):
    """The part of ServiceFramework in use here (pywin32 has no types for it)."""

    def report(self, state: int, wait_hint: int) -> None: ...


class Reporter:
    """A `Manager` (see watch.py): the service control manager of Windows."""

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
