"""Host the service in the process that the service control manager of Windows starts.

This interpreter hosts it, because pythonservice.exe of pywin32 finds no virtual environment.
Importing this module needs no pywin32: that it is missing must end in the log.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from config import logs
from consumer.os_service.layout import NAME, WindowsLayout, windows_layout
from consumer.os_service.log_file import LogFile

if TYPE_CHECKING:
    from config.loading import Settings

log = structlog.get_logger(__name__)

# Registered services name it: it stays, wherever this module moves.
COMMAND = "windows-service"


def command_line(layout: WindowsLayout, settings: Path, *, embedded: bool) -> str:
    """The arguments to register beside the interpreter; Windows allows no quote in a path. The
    folder is among them, for the %ProgramData% of a service may be another one."""
    words = ["-I", "-m", "consumer", COMMAND, "--root", f'"{layout.root}"']
    words += ["--settings", f'"{settings}"']
    return " ".join([*words, "--embedded"] if embedded else words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Host the service until it has ended; 1 where that is not possible."""
    # First of all: before the dispatcher runs, nobody else would report what went wrong.
    layout = _layout(arguments)
    with LogFile(layout.log) as stream:
        logs.configure("info", "console", stream)
        try:
            _host(_parsed(arguments), layout, stream)
        except (Exception, SystemExit):
            log.exception("the service could not be hosted")
            return 1
    return 0


def _host(given: argparse.Namespace, layout: WindowsLayout, stream: LogFile) -> None:
    # Not at the top: they need pywin32.
    import servicemanager  # noqa: PLC0415

    from consumer.os_service.windows_service import Assignment, ConsumerService  # noqa: PLC0415

    def settings() -> Settings:
        # Not before the service reports: see windows_service.py.
        from config.loading import from_process  # noqa: PLC0415
        from consumer.runtime.settings_map import needed  # noqa: PLC0415

        found = from_process({}, given.settings, None, needed(embedded=given.embedded))
        logs.configure(found.log_level, found.log_format, stream)
        return found

    layout.data.mkdir(parents=True, exist_ok=True)
    os.chdir(layout.data)
    ConsumerService.assignment = Assignment(settings, given.embedded)
    servicemanager.Initialize(NAME, None)
    servicemanager.PrepareToHostSingle(ConsumerService)
    servicemanager.StartServiceCtrlDispatcher()  # type: ignore[no-untyped-call]


def _layout(arguments: Sequence[str] | None) -> WindowsLayout:
    """The folder that was registered; that of this process for services from before it was."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--root", type=Path)
    with suppress(argparse.ArgumentError):
        if (root := parser.parse_known_args(arguments)[0].root) is not None:
            return WindowsLayout(root)
    return windows_layout()


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"consumer {COMMAND}",
        description=f"Started by the service control manager; by hand use `{NAME} serve`.",
    )
    parser.add_argument("--root", type=Path)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--embedded", action="store_true")
    return parser.parse_args(arguments)
