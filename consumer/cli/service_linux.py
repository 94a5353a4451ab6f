"""`service start`, `stop`, `status` and `logs` under systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import asdict

from consumer.cli.console import console, error_console, print_json, table
from consumer.errors import SetupError
from consumer.service import systemctl
from consumer.service.layout import Layout
from consumer.service.names import NAME

if sys.platform == "win32":
    raise ImportError("for Windows there is consumer.cli.service_windows")


def start(layout: Layout | None = None) -> None:
    layout = _installed(layout)
    _needs_systemd(layout, "start it by hand with `cxone-consumer serve`")
    systemctl.call("start", systemctl.UNIT)
    console().print(f"Started, and ready: {systemctl.state().text}", soft_wrap=True)


def stop(layout: Layout | None = None) -> None:
    layout = _installed(layout)
    _needs_systemd(layout, "end the process with SIGTERM")
    systemctl.call("stop", systemctl.UNIT)
    console().print("Stopped: everything accepted was answered.")


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


def logs(lines: int, follow: bool, layout: Layout | None = None) -> int:
    """Show the journal of the service; 0, or 1 where journalctl failed."""
    layout = _installed(layout)
    _needs_systemd(layout, "a service started by hand logs to its standard error")
    program = shutil.which("journalctl")
    if program is None:
        raise SetupError("there is no journalctl on this machine: is the journal installed?")
    command = [program, f"--unit={systemctl.UNIT}", f"--lines={lines}", "--no-pager"]
    done = subprocess.run([*command, *(["--follow"] if follow else [])], check=False)  # noqa: S603
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
