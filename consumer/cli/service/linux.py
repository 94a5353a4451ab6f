"""`service` under systemd: install, run, look at and remove it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from consumer.cli.console import console, error_console, print_json, table
from consumer.cli.context import SettingsFiles
from consumer.cli.settings_text import settings_to_install
from consumer.core.errors import SetupError
from consumer.core.text import safe
from consumer.os_service import files, systemctl
from consumer.os_service.layout import NAME, Layout

if TYPE_CHECKING:
    from consumer.os_service.linux import Plan

if sys.platform == "win32":
    raise ImportError("for Windows there is consumer.cli.service.windows")

SETTINGS = str(Layout().settings)


def install(
    named: SettingsFiles,
    *,
    user: str | None,
    settings: Path | None,
    embedded: bool,
    dry_run: bool,
    as_json: bool = False,
    layout: Layout | None = None,
) -> None:
    """Write, enable and start; raises SetupError, and SettingsError for what is set wrong."""
    from consumer.os_service import linux
    from consumer.os_service.linux import Request

    layout = layout or Layout()
    if settings is not None:
        layout = dataclasses.replace(layout, settings=settings.absolute())
    if not dry_run:
        _may_write("install", layout)
        linux.check_user(user)
        linux.check_systemd(layout)
    source, text = settings_to_install(named, layout.settings)
    planned = linux.plan(Request(source, text, named.config_file, user, embedded), layout)
    facts = {
        "service": NAME,
        "files": [
            {"path": file.path, "mode": f"{file.mode:04o}", "what": files.change_of(file)}
            for file in planned.files
        ],
        "notes": planned.notes,
        "missing": planned.missing,
    }
    if dry_run and as_json:
        print_json({**facts, "changed": False})
    elif dry_run:
        # Whole as it is printed, this is a unit file: the rest is in comments.
        sys.stdout.write(planned.unit.text + "\n" + "".join(_dry_run_lines(planned)))
    else:
        _put_in_place(planned, layout, source, error_console() if as_json else console())
        if as_json:
            print_json({**facts, "changed": True})


def _dry_run_lines(planned: Plan) -> Iterator[str]:
    yield from (f"# {line}\n" for line in ("Nothing was changed. Installing would write", ""))
    for file in planned.files:
        shown = ", not shown" if file.secret else ""
        yield f"# {file.path} (mode {file.mode:04o}, {files.change_of(file)}{shown})\n"
    for file in planned.files[1:]:
        if not file.secret:
            yield f"#\n# {file.path}:\n"
            yield from (f"#   {line}\n" for line in file.text.splitlines())
    yield f"#\n# and then: systemctl daemon-reload; systemctl enable --now {systemctl.UNIT}\n"
    yield from (f"# Note: {safe(note)}\n" for note in planned.notes)
    if planned.missing:
        yield f"# Not set yet: {', '.join(planned.missing)}\n"


def _put_in_place(planned: Plan, layout: Layout, source: Path | None, out: Console) -> None:
    from consumer.os_service import linux

    rows = [(file.path, f"{file.mode:04o}", files.change_of(file)) for file in planned.files]
    changes = [line for file in planned.files for line in files.difference(file)]
    is_update = rows[0][2] != "new"
    changed = linux.put(planned)
    out.print(table(("file", "mode", "what"), rows, title=f"Service {NAME}"))
    if is_update:
        out.print("\n".join(map(safe, changes)) or "Nothing changed.", soft_wrap=True)
    for note in planned.notes:
        out.print(f"Note: {safe(note)}", soft_wrap=True)
    if source is None:
        out.print(
            f"There was no settings file, so a new secret was made. Enter it at CXone:"
            f" {layout.credentials / 'CXONE_SHARED_SECRET'}",
            soft_wrap=True,
        )
    missing = f"Settings are missing: {', '.join(planned.missing)}. Add them to {layout.settings}"
    if not layout.systemd_runs:
        out.print(_by_hand(planned, layout), soft_wrap=True)
        if planned.missing:
            out.print(f"{missing} first.", soft_wrap=True)
    elif planned.missing:
        raise SetupError(
            f"installed, but not started. {missing} and run `{NAME} service install` again;"
            " --embedded runs a MongoDB of its own"
        )
    else:
        out.print(_ready_line(linux.bring_up(changed=changed)), soft_wrap=True)


def _ready_line(restarted: bool) -> str:
    if restarted:
        return f"Started, and ready: {systemctl.state().text}"
    return "It runs already, with these files."


def _by_hand(planned: Plan, layout: Layout) -> str:
    command = next(
        line for line in planned.unit.text.splitlines() if line.startswith("ExecStart=")
    ).removeprefix("ExecStart=")
    program, _, arguments = command.partition(" -m consumer ")
    # By hand the settings file is read by the program itself, secrets and all.
    return (
        "systemd does not run here (a container?), so nothing was enabled or started. On a machine"
        f" where it does: systemctl daemon-reload && systemctl enable --now {systemctl.UNIT}\n"
        f"To start it by hand:\n"
        f"  {program} -m consumer --env-file {layout.settings}"
        f" {arguments.rpartition('config.toml ')[2]}"
    )


def uninstall(layout: Layout | None = None) -> str:
    from consumer.os_service import linux

    layout = layout or Layout()
    _may_write("uninstall", layout)
    if not linux.remove(layout):
        raise not_installed(layout)
    return (
        f"Removed {layout.unit}. What stays:\n"
        f"  settings and secrets   {layout.settings.parent}\n"
        f"  data                   {layout.state}\n"
        "Delete them by hand when nothing in them is needed any more: deliveries that MongoDB"
        " could not take yet may wait there."
    )


def _may_write(what: str, layout: Layout) -> None:
    if os.geteuid() and not os.access(layout.unit.parent, os.W_OK):
        raise SetupError(
            f"only root may {what} a service: use sudo and the full path"
            f" ({Path(sys.executable).with_name(NAME)}); `service install --dry-run` needs none"
        )


def start(layout: Layout | None = None, how: str = "start") -> str:
    layout = _installed(layout)
    _needs_systemd(layout, "start it by hand with `cxone-consumer serve`")
    systemctl.call(how, systemctl.UNIT)
    return f"Started, and ready: {systemctl.state().text}"


def restart(layout: Layout | None = None) -> str:
    return start(layout, "restart")


def stop(layout: Layout | None = None) -> str:
    layout = _installed(layout)
    _needs_systemd(layout, "end the process with SIGTERM")
    systemctl.call("stop", systemctl.UNIT)
    return "Stopped: everything accepted was answered."


def status(as_json: bool, layout: Layout | None = None) -> int:
    """0 when it runs and is ready, else 1."""
    layout = _installed(layout)
    _needs_systemd(layout, "`cxone-consumer status` asks MongoDB instead")
    state = systemctl.state()
    if as_json:
        print_json({"service": NAME, **asdict(state)})
    else:
        rows = [
            ("state", f"{state.active} ({state.sub})"),
            ("since", state.since or None),
            ("starts with the machine", state.enabled),
            ("process", str(state.pid) if state.pid else None),
            ("restarts", state.restarts),
            ("it says", state.text or None),
        ]
        console().print(table(("", NAME), rows))
    return 0 if state.active == "active" else 1


def logs(lines: int, follow: bool, layout: Layout | None = None, *, as_json: bool = False) -> int:
    """Show the journal of the service; 0, or 1 where journalctl failed."""
    layout = _installed(layout)
    _needs_systemd(layout, "a service started by hand logs to its standard error")
    program = shutil.which("journalctl")
    if program is None:
        raise SetupError("there is no journalctl on this machine: is the journal installed?")
    command = [program, f"--unit={systemctl.UNIT}", f"--lines={lines}", "--no-pager"]
    command += ["--follow"] * follow
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE if as_json else None)  # noqa: S603
    if as_json:
        print_json({"lines": done.stdout.decode(errors="replace").splitlines()})
    if done.returncode and os.geteuid():
        error_console().print("Try with sudo: the journal may be closed to your account.")
    return 1 if done.returncode else 0


def _installed(layout: Layout | None) -> Layout:
    layout = layout or Layout()
    if not layout.unit.exists():
        raise not_installed(layout)
    return layout


def not_installed(layout: Layout) -> SetupError:
    return SetupError(
        f"the service is not installed ({layout.unit} is missing): `{NAME} service install`"
    )


def _needs_systemd(layout: Layout, instead: str) -> None:
    if not layout.systemd_runs:
        raise SetupError(f"systemd does not run here (a container?): {instead}")
