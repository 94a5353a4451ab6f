"""`service` under the service control manager of Windows: install, run, look at and remove it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from config import loading as configuration
from config.environment import install_command, people
from consumer.cli.console import console, error_console, print_json, table
from consumer.cli.context import SettingsFiles
from consumer.cli.settings_text import settings_to_install
from consumer.core.errors import SetupError
from consumer.core.text import safe
from consumer.os_service import files
from consumer.os_service.files import File
from consumer.os_service.layout import NAME, WINDOWS_ACCOUNT, WindowsLayout, windows_layout
from consumer.os_service.log_file import appended, tail
from consumer.os_service.settings_file import fit

if TYPE_CHECKING:
    from types import ModuleType

STARTED = "Started, and ready."
SETTINGS = f"%ProgramData%\\{NAME}\\settings.env"
# Accounts that Windows itself knows have no password, and neither have managed ones.
_NO_PASSWORD = ("NT SERVICE\\", "NT AUTHORITY\\")


def install(
    named: SettingsFiles,
    *,
    user: str | None,
    settings: Path | None,
    embedded: bool,
    dry_run: bool,
    as_json: bool = False,
) -> None:
    """Write, register and start; raises SetupError, and SettingsError for what is set wrong."""
    from consumer.os_service.windows_main import command_line
    from consumer.runtime.settings_map import longest_stop, needed

    layout = windows_layout()
    place = (settings or layout.settings).absolute()
    source, text = settings_to_install(named, place)
    read = configuration.load({}, {}, source, named.config_file)
    fitted = fit(text, source or place, None, layout.data, named.config_file)
    written = File(place, fitted.text)
    arguments = command_line(layout, place, embedded=embedded)
    account = user or WINDOWS_ACCOUNT
    out = error_console() if as_json else console()
    rows = [
        (str(place), files.change_of(written)),
        (f'"{sys.executable}" {arguments}', "the command"),
        (account, "the account"),
        (str(layout.root), "files and log, closed to all others"),
    ]
    out.print(table((f"service {NAME}", "what"), rows))
    for note in (*fitted.notes, *_about_code(user)):
        out.print(f"Note: {safe(note)}", soft_wrap=True)
    facts = {"service": NAME, "parts": [{"part": part, "what": what} for part, what in rows]}
    if dry_run:
        out.print("Nothing was changed.")
        if as_json:
            print_json({**facts, "changed": False})
        return
    scm, rights = pywin32()
    rights.make_folder(layout.root, "read")
    rights.make_folder(layout.data, "modify")
    rights.make_folder(layout.logs, "modify")
    files.write([written])
    rights.close(place, "read")
    scm.install(sys.executable, arguments, longest_stop(read), account, _password(account))
    missing = [
        name
        for name in needed(embedded=embedded)
        if getattr(read, name.lower()) is None and not (source is None and "SECRET" in name)
    ]
    if missing:
        raise SetupError(
            f"installed, but not started, because these settings are missing: {', '.join(missing)}."
            f" Add them to {place} and run `{NAME} service install` again; --embedded runs a"
            " MongoDB of its own"
        )
    _say_if_starting(scm)
    scm.end_run(longest_stop(read) + scm.MARGIN)
    scm.start()
    out.print(STARTED)
    out.print(
        f"To upgrade: `{NAME} service stop`, then install the new version, then `{NAME} service"
        " start`. Windows replaces no module that a running service has loaded.",
        soft_wrap=True,
    )
    if as_json:
        print_json({**facts, "changed": True})


def _about_code(user: str | None) -> list[str]:
    hidden = files.within(files.of_this_program(), [people()])
    if not hidden or user is not None:
        return []
    return [
        f"the program itself is in the profile of a person ({', '.join(map(str, hidden))}), where"
        " the account of the service may not read it. Install Python for all users, make the"
        f" environment elsewhere (py -m venv C:\\{NAME}) and install from there, or name your own"
        " account with --user"
    ]


def _password(account: str) -> str | None:
    if account.upper().startswith(_NO_PASSWORD) or account.endswith("$"):
        return None
    return str(typer.prompt(f"Password of {account}", hide_input=True))


def uninstall() -> str:
    layout = windows_layout()
    scm = installed()
    _say_if_starting(scm)
    scm.remove(time_to_stop(layout) + scm.MARGIN)
    return (
        f"Removed the service. What stays: settings, data and log in {layout.root}. Delete them by"
        " hand when nothing in them is needed any more: deliveries that MongoDB could not take yet"
        " may wait there."
    )


def start() -> str:
    installed().start()
    return STARTED


def restart() -> str:
    stop()
    return start()


def stop() -> str:
    scm = installed()
    _say_if_starting(scm)
    scm.stop(time_to_stop(windows_layout()) + scm.MARGIN, error_console().print)
    return "Stopped: everything accepted was answered." if not scm.state().failed else "Stopped."


def _say_if_starting(scm: ModuleType) -> None:
    if scm.state().active == "starting":
        error_console().print("It is starting: waiting until it can be stopped.")


def time_to_stop(layout: WindowsLayout) -> float:
    """By the settings of the service, where they are in the usual place."""
    from consumer.runtime.settings_map import longest_stop

    source = layout.settings if layout.settings.is_file() else None
    return longest_stop(configuration.load({}, {}, source))


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
            ("log", windows_layout().log),
        ]
        console().print(table(("", NAME), rows))
    return 0 if state.active == "running" else 1


def logs(lines: int, follow: bool, *, as_json: bool = False) -> int:
    """Show the end of the log file; 0."""
    log = windows_layout().log
    if not log.is_file():
        raise SetupError(f"there is no log yet ({log}): `{NAME} service start`")
    if as_json:
        print_json({"lines": "".join(_lines(log, lines, follow=False)).splitlines()})
        return 0
    out = console()
    for text in _lines(log, lines, follow=follow):
        out.file.write(text)
        out.file.flush()
    return 0


def _lines(log: Path, lines: int, *, follow: bool) -> Iterator[str]:
    try:
        yield "".join(tail(log, lines))
        yield from appended(log) if follow else ()
    except OSError as error:
        raise SetupError(f"cannot read {log}: {error.strerror}") from error


def installed() -> ModuleType:
    scm, _ = pywin32()
    if not scm.exists():
        raise SetupError(f"the service is not installed: `{NAME} service install`")
    return scm


def pywin32() -> tuple[ModuleType, ModuleType]:
    """The modules that need it; raises SetupError where it is missing."""
    try:
        from consumer.os_service import windows_acl, windows_scm
    except ImportError as error:
        raise SetupError(
            f"pywin32 is missing ({error.name}): {install_command('windows')}"
        ) from error
    return windows_scm, windows_acl
