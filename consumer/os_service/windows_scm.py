"""Register and steer the service at the service control manager of Windows, through pywin32."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pywintypes
import servicemanager
import win32service
import win32serviceutil
import winerror

from consumer.core.errors import SetupError
from consumer.os_service.layout import DESCRIPTION, LONGEST_START, NAME, TITLE

# Milliseconds before each restart; the last goes for all further ones. Counted anew after a day.
_RESTARTS = (5_000, 30_000, 60_000)
_FORGET = 86_400
# Seconds beside the longest time that a start or a stop may take.
MARGIN = 30.0
# Seconds after which no restart is due any more.
OUTLAST = _RESTARTS[-1] / 1000 + 5
_LOOK = 0.2

STATES = {
    win32service.SERVICE_STOPPED: "stopped",
    win32service.SERVICE_START_PENDING: "starting",
    win32service.SERVICE_STOP_PENDING: "stopping",
    win32service.SERVICE_RUNNING: "running",
}
_GOOD_ENDS = (0, winerror.ERROR_SERVICE_NEVER_STARTED)
_ADVICE = {
    winerror.ERROR_ACCESS_DENIED: "open the prompt with `Run as administrator`",
    winerror.ERROR_SERVICE_DOES_NOT_EXIST: f"`{NAME} service install`",
    winerror.ERROR_SERVICE_DISABLED: f"`{NAME} service install` enables it",
    winerror.ERROR_SERVICE_MARKED_FOR_DELETE: "close the window Services and try again",
    winerror.ERROR_SERVICE_LOGON_FAILED: "check account and password",
}


@dataclass(frozen=True, slots=True)
class State:
    """The service as the manager knows it; `exit_code` of the last end is 0 for a good one."""

    active: str
    pid: int
    exit_code: int

    @property
    def failed(self) -> bool:
        """True after an end for which Windows may be about to start it anew."""
        return self.active == "stopped" and self.exit_code not in _GOOD_ENDS


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except pywintypes.error as error:
        advice = _ADVICE.get(error.winerror)
        tail = f": {advice}" if advice else ""
        raise SetupError(f"cannot {what} the service: {error.strerror}{tail}") from error


def exists() -> bool:
    with _translated("look for"), _manager(win32service.SC_MANAGER_CONNECT) as manager:
        try:
            handle = win32service.OpenService(manager, NAME, win32service.SERVICE_QUERY_STATUS)
        except pywintypes.error as error:
            if error.winerror == winerror.ERROR_SERVICE_DOES_NOT_EXIST:
                return False
            raise
        win32service.CloseServiceHandle(handle)
        return True


def install(
    executable: str, arguments: str, longest_stop: float, account: str, password: str | None
) -> None:
    """Create the service, or bring it up to date: delayed automatic start, restarts after every
    end that was not asked for, and time to drain when the machine shuts down (seconds)."""
    given: dict[str, Any] = {
        "startType": win32service.SERVICE_AUTO_START,
        "userName": account,
        "password": password,
        "exeName": executable,
        "exeArgs": arguments,
        "description": DESCRIPTION,
        "delayedstart": True,
    }
    with _translated("install"):
        if exists():
            win32serviceutil.ChangeServiceConfig(None, NAME, displayName=TITLE, **given)
        else:
            win32serviceutil.InstallService(None, NAME, TITLE, **given)
        with _service(win32service.SERVICE_ALL_ACCESS) as handle:
            for level, value in _recovery(longest_stop):
                win32service.ChangeServiceConfig2(handle, level, value)
        # Now, because the account of the service may not write there later.
        servicemanager.SetEventSourceName(NAME, True)


def _recovery(longest_stop: float) -> tuple[tuple[int, Any], ...]:
    actions = tuple((win32service.SC_ACTION_RESTART, delay) for delay in _RESTARTS)
    failure = {"ResetPeriod": _FORGET, "RebootMsg": None, "Command": None, "Actions": actions}
    return (
        (win32service.SERVICE_CONFIG_FAILURE_ACTIONS, failure),
        # Without it only a process that vanishes counts, not one that ends with an error.
        (win32service.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, True),
        (win32service.SERVICE_CONFIG_PRESHUTDOWN_INFO, int(longest_stop * 1000)),
        # Files are closed to all but this identity, whatever account it runs as.
        (
            win32service.SERVICE_CONFIG_SERVICE_SID_INFO,
            win32service.SERVICE_SID_TYPE_UNRESTRICTED,
        ),
    )


def start() -> None:
    """Start it and return when it runs, which it says only when it is ready."""
    # Windows itself may start it just now.
    with _translated("start"), _suppressed(winerror.ERROR_SERVICE_ALREADY_RUNNING):
        if state().active == "stopped":
            win32serviceutil.StartService(NAME)
    now = _await(("running", "stopped"), LONGEST_START + MARGIN)
    if now.active == "stopped":
        raise SetupError(
            f"the service ended with code {now.exit_code:#x}: `{NAME} service logs` says why"
        )


def end_run(longest: float) -> None:
    """End the run under way and return when everything accepted was answered, which may take
    `longest` seconds. One that is starting is waited for first, until it runs or has ended:
    Windows passes nothing on to it."""
    if _await(("running", "stopping", "stopped"), LONGEST_START + MARGIN).active == "running":
        # It may have ended, or begun to, by itself.
        ended = (winerror.ERROR_SERVICE_NOT_ACTIVE, winerror.ERROR_SERVICE_CANNOT_ACCEPT_CTRL)
        with _translated("stop"), _suppressed(*ended):
            win32serviceutil.StopService(NAME)
    _await(("stopped",), longest)


def stop(longest: float, report: Callable[[str], None]) -> None:
    """End the run. After an end with an error Windows is about to start it anew: it is disabled
    until that has come to nothing, of which `report` is told."""
    end_run(longest)
    if not state().failed:
        return
    report(f"It ended with an error: disabled for {OUTLAST:.0f} s, or Windows would start it anew.")
    before = _change_start_type(win32service.SERVICE_DISABLED)
    try:
        time.sleep(OUTLAST)
        # One that had begun just before.
        end_run(longest)
    finally:
        _change_start_type(before)


def remove(longest: float) -> None:
    """End the run and forget the service; nothing starts it meanwhile. Where that fails it stays as
    it was registered."""
    before = _change_start_type(win32service.SERVICE_DISABLED)
    try:
        end_run(longest)
        with _translated("remove"):
            win32serviceutil.RemoveService(NAME)
    except BaseException:
        with suppress(SetupError):
            _change_start_type(before)
        raise


def _change_start_type(wanted: int) -> int:
    """Change it at once, whatever the state of the service; what it was before."""
    same = win32service.SERVICE_NO_CHANGE
    with _translated("configure"), _service(win32service.SERVICE_ALL_ACCESS) as handle:
        before = int(win32service.QueryServiceConfig(handle)[1])
        win32service.ChangeServiceConfig(
            handle, same, wanted, same, None, None, False, None, None, None, None
        )
        if wanted == win32service.SERVICE_AUTO_START:
            delayed = win32service.SERVICE_CONFIG_DELAYED_AUTO_START_INFO
            win32service.ChangeServiceConfig2(handle, delayed, True)
    return before


def state() -> State:
    """Raises SetupError where there is no such service."""
    with _translated("ask for"), _service(win32service.SERVICE_QUERY_STATUS) as handle:
        found: Any = win32service.QueryServiceStatusEx(handle)
    code = int(found["Win32ExitCode"])
    if code == winerror.ERROR_SERVICE_SPECIFIC_ERROR:
        code = int(found["ServiceSpecificExitCode"])
    return State(
        STATES.get(found["CurrentState"], "unknown"), int(found["ProcessId"]), _unsigned(code)
    )


def _unsigned(code: int) -> int:
    return code & 0xFFFFFFFF


def _await(wanted: tuple[str, ...], longest: float) -> State:
    end = time.monotonic() + longest
    while (now := state()).active not in wanted:
        if time.monotonic() > end:
            raise SetupError(
                f"the service is still {now.active} after {longest:.0f} s:"
                f" `{NAME} service logs` says why"
            )
        time.sleep(_LOOK)
    return now


@contextmanager
def _suppressed(*codes: int) -> Iterator[None]:
    try:
        yield
    except pywintypes.error as error:
        if error.winerror not in codes:
            raise


@contextmanager
def _manager(access: int) -> Iterator[Any]:
    handle = win32service.OpenSCManager(None, None, access)
    try:
        yield handle
    finally:
        win32service.CloseServiceHandle(handle)


@contextmanager
def _service(access: int) -> Iterator[Any]:
    with _manager(win32service.SC_MANAGER_CONNECT) as manager:
        handle = win32service.OpenService(manager, NAME, access)
        try:
            yield handle
        finally:
            win32service.CloseServiceHandle(handle)
