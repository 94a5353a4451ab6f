"""`service` under the service control manager of Windows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from config import settings as configuration
from config.windows import people
from consumer.cli.console import console, print_json, safe, table
from consumer.cli.context import Sources
from consumer.cli.settings_text import fresh_secret, settings_text
from consumer.errors import SetupError
from consumer.runtime.process import longest_stop, needed
from consumer.service import code_places, files, windows_layout
from consumer.service.files import File
from consumer.service.names import NAME, WINDOWS_ACCOUNT
from consumer.service.settings_file import fit
from consumer.service.windows_layout import WindowsLayout
from consumer.service.windows_main import command_line

if TYPE_CHECKING:
    from types import ModuleType

SETTINGS = f"%ProgramData%\\{NAME}\\settings.env"
# Accounts that Windows itself knows have no password, and neither have managed ones.
_NO_PASSWORD = ("NT SERVICE\\", "NT AUTHORITY\\")
# Seconds beside the longest start of the service itself.
_ROOM = 30.0
_BLOCK = 1 << 16


def install(
    sources: Sources,
    *,
    user: str | None,
    settings: Path | None,
    embedded: bool,
    dry_run: bool,
    layout: WindowsLayout | None = None,
) -> None:
    """Write, register and start; raises SetupError, and SettingsError for what is set wrong."""
    layout = layout or windows_layout.of_this_machine()
    place = (settings or layout.settings).absolute()
    source = _source(sources, place)
    read = configuration.load({}, {}, source, sources.config_file)
    text = (files.read(source) if source else None) or settings_text(fresh_secret())
    fitted = fit(text, source or place, None, layout.data)
    written = File(place, fitted.text)
    # In the settings file, because the service has no command line of its own.
    if sources.config_file is not None and fitted.config is None:
        written = File(place, f"{fitted.text}CXONE_CONFIG='{sources.config_file.absolute()}'\n")
    arguments = command_line(place, embedded=embedded)
    account = user or WINDOWS_ACCOUNT
    out = console()
    rows = [
        (str(place), files.change_of(written)),
        (f'"{sys.executable}" {arguments}', "the command"),
        (account, "the account"),
        (str(layout.root), "files and log, closed to all others"),
    ]
    out.print(table((f"service {NAME}", "what"), rows))
    for note in (*fitted.notes, *_about_code(user)):
        out.print(f"Note: {safe(note)}", soft_wrap=True)
    if dry_run:
        out.print("Nothing was changed.")
        return
    scm, rights = _pywin32()
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
    scm.stop(longest_stop(read) + _ROOM)
    _start(scm)


def _source(sources: Sources, settings: Path) -> Path | None:
    if sources.env_file is not None:
        return sources.env_file
    return next((path for path in (settings, Path(".env")) if path.is_file()), None)


def _about_code(user: str | None) -> list[str]:
    hidden = code_places.within(code_places.of_this_program(), [people()])
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


def uninstall(layout: WindowsLayout | None = None) -> None:
    layout = layout or windows_layout.of_this_machine()
    scm = _installed()
    scm.stop(_longest_stop(layout))
    scm.remove()
    console().print(
        f"Removed the service. What stays: settings, data and log in {layout.root}. Delete them by"
        " hand when nothing in them is needed any more: deliveries that MongoDB could not take yet"
        " may wait there.",
        soft_wrap=True,
    )


def start(layout: WindowsLayout | None = None) -> None:
    del layout
    _start(_installed())


def _start(scm: ModuleType) -> None:
    from consumer.service.windows_host import LONGEST_START  # noqa: PLC0415 - needs pywin32

    scm.start(LONGEST_START + _ROOM)
    console().print("Started, and ready.")


def stop(layout: WindowsLayout | None = None) -> None:
    layout = layout or windows_layout.of_this_machine()
    _installed().stop(_longest_stop(layout))
    console().print("Stopped: everything accepted was answered.")


def _longest_stop(layout: WindowsLayout) -> float:
    """By the settings of the service, where they are in the usual place."""
    source = layout.settings if layout.settings.is_file() else None
    return longest_stop(configuration.load({}, {}, source)) + _ROOM


def status(as_json: bool, layout: WindowsLayout | None = None) -> int:
    """0 when it runs, which it does only when ready, else 1."""
    layout = layout or windows_layout.of_this_machine()
    state = _installed().state()
    if as_json:
        print_json({"service": NAME, **asdict(state)})
    else:
        rows = [
            ("state", state.active),
            ("process", str(state.pid) if state.pid else None),
            ("last exit code", f"{state.exit_code:#x}"),
            ("log", layout.log),
        ]
        console().print(table(("", NAME), rows))
    return 0 if state.active == "running" else 1


def logs(lines: int, follow: bool, layout: WindowsLayout | None = None) -> int:
    """Show the end of the log file; 0."""
    layout = layout or windows_layout.of_this_machine()
    if not layout.log.is_file():
        raise SetupError(f"there is no log yet ({layout.log}): `{NAME} service start`")
    out = console()
    try:
        for line in _tail(layout.log, lines):
            out.file.write(line)
        for line in _more(layout.log) if follow else ():
            out.file.write(line)
            out.file.flush()
    except OSError as error:
        raise SetupError(f"cannot read {layout.log}: {error.strerror}") from error
    return 0


def _tail(path: Path, lines: int) -> list[str]:
    """The last `lines`, as far as the last megabytes hold them."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _BLOCK * 64))
        text = file.read().decode("utf-8", "replace")
    return text.splitlines(keepends=True)[-lines:]


def _more(path: Path) -> Iterator[str]:
    """What is appended from now on, until the file begins anew."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
    while True:
        time.sleep(0.5)
        # Opened each time: an open file could not be renamed when it has grown too long.
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < end:
                end = 0
            file.seek(end)
            yield file.read(size - end).decode("utf-8", "replace")
            end = size


def _installed() -> ModuleType:
    scm, _ = _pywin32()
    if not scm.exists():
        raise SetupError(f"the service is not installed: `{NAME} service install`")
    return scm


def _pywin32() -> tuple[ModuleType, ModuleType]:
    """The modules that need it; raises SetupError where it is missing."""
    try:
        from consumer.service import windows_rights, windows_scm  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(
            f"pywin32 is missing ({error.name}):"
            f' {sys.executable} -m pip install "cxone-consumer[windows]"'
        ) from error
    return windows_scm, windows_rights
