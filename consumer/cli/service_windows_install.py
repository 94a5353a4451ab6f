"""`service install` and `uninstall` under the service control manager of Windows."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from config import settings as configuration
from config.windows import people
from consumer.cli.console import console, table
from consumer.cli.context import Sources
from consumer.cli.service_settings import settings_to_install
from consumer.cli.service_windows import ROOM, installed, pywin32, start_with, time_to_stop
from consumer.errors import SetupError
from consumer.printable import safe
from consumer.runtime.process import longest_stop, needed
from consumer.service import code_places, files, windows_layout
from consumer.service.files import File
from consumer.service.names import NAME, WINDOWS_ACCOUNT
from consumer.service.settings_file import fit
from consumer.service.windows_main import command_line

SETTINGS = f"%ProgramData%\\{NAME}\\settings.env"
# Accounts that Windows itself knows have no password, and neither have managed ones.
_NO_PASSWORD = ("NT SERVICE\\", "NT AUTHORITY\\")


def install(
    sources: Sources,
    *,
    user: str | None,
    settings: Path | None,
    embedded: bool,
    dry_run: bool,
) -> None:
    """Write, register and start; raises SetupError, and SettingsError for what is set wrong."""
    layout = windows_layout.of_this_machine()
    place = (settings or layout.settings).absolute()
    source, text = settings_to_install(sources, place)
    read = configuration.load({}, {}, source, sources.config_file)
    fitted = fit(text, source or place, None, layout.data, sources.config_file)
    written = File(place, fitted.text)
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
    scm.stop(longest_stop(read) + ROOM)
    start_with(scm)


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


def uninstall() -> None:
    layout = windows_layout.of_this_machine()
    scm = installed()
    scm.stop(time_to_stop(layout))
    scm.remove()
    console().print(
        f"Removed the service. What stays: settings, data and log in {layout.root}. Delete them by"
        " hand when nothing in them is needed any more: deliveries that MongoDB could not take yet"
        " may wait there.",
        soft_wrap=True,
    )
