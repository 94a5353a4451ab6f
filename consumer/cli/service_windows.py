"""`service start`, `stop`, `status` and `logs` under the service control manager of Windows."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from config import settings as configuration
from config.distribution import requirement
from consumer.cli.console import console, print_json, table
from consumer.errors import SetupError
from consumer.runtime.process import longest_stop
from consumer.service import windows_layout
from consumer.service.log_tail import appended, tail
from consumer.service.names import NAME
from consumer.service.windows_layout import WindowsLayout

if TYPE_CHECKING:
    from types import ModuleType

# Seconds beside the longest start of the service itself.
ROOM = 30.0


def start() -> None:
    start_with(installed())


def start_with(scm: ModuleType) -> None:
    from consumer.service.windows_host import LONGEST_START  # noqa: PLC0415 - needs pywin32

    scm.start(LONGEST_START + ROOM)
    console().print("Started, and ready.")


def stop() -> None:
    installed().stop(time_to_stop(windows_layout.of_this_machine()))
    console().print("Stopped: everything accepted was answered.")


def time_to_stop(layout: WindowsLayout) -> float:
    """By the settings of the service, where they are in the usual place."""
    source = layout.settings if layout.settings.is_file() else None
    return longest_stop(configuration.load({}, {}, source)) + ROOM


def status(as_json: bool) -> int:
    """0 when it runs, which it does only when ready, else 1."""
    state = installed().state()
    if as_json:
        print_json({"service": NAME, **asdict(state)})
    else:
        rows = [
            ("state", state.active),
            ("process", str(state.pid) if state.pid else None),
            ("last exit code", f"{state.exit_code:#x}"),
            ("log", windows_layout.of_this_machine().log),
        ]
        console().print(table(("", NAME), rows))
    return 0 if state.active == "running" else 1


def logs(lines: int, follow: bool) -> int:
    """Show the end of the log file; 0."""
    log = windows_layout.of_this_machine().log
    if not log.is_file():
        raise SetupError(f"there is no log yet ({log}): `{NAME} service start`")
    out = console()
    try:
        for line in tail(log, lines):
            out.file.write(line)
        for line in appended(log) if follow else ():
            out.file.write(line)
            out.file.flush()
    except OSError as error:
        raise SetupError(f"cannot read {log}: {error.strerror}") from error
    return 0


def installed() -> ModuleType:
    scm, _ = pywin32()
    if not scm.exists():
        raise SetupError(f"the service is not installed: `{NAME} service install`")
    return scm


def pywin32() -> tuple[ModuleType, ModuleType]:
    """The modules that need it; raises SetupError where it is missing."""
    try:
        from consumer.service import windows_rights, windows_scm  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(
            f"pywin32 is missing ({error.name}):"
            f' {sys.executable} -m pip install "{requirement("windows")}"'
        ) from error
    return windows_scm, windows_rights
