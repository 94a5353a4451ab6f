"""Read off this process who runs it, who supervises it, and where Windows and pip put things."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "cxone-consumer"
_MAX_NAME = 256


def user_name() -> str:
    """The user as the operating system knows them; never raises, never empty."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A number without an account, as in some containers.
        name = f"uid {os.getuid()}" if hasattr(os, "getuid") else ""
    return name[:_MAX_NAME] or "unknown"


def editor_command(
    environ: Mapping[str, str] | None = None, windows: bool | None = None
) -> list[str]:
    """The program that edits a file, with its arguments: VISUAL, EDITOR, or what is there."""
    values = os.environ if environ is None else environ
    on_windows = os.name == "nt" if windows is None else windows
    for name in ("VISUAL", "EDITOR"):
        command = _split(values.get(name, ""), on_windows)
        if command:
            return command
    if on_windows:
        return ["notepad"]
    return [next((name for name in ("nano", "vim", "vi") if shutil.which(name)), "vi")]


def _split(text: str, windows: bool) -> list[str]:
    try:
        # In a Windows path a backslash escapes nothing.
        parts = shlex.split(text, posix=not windows)
    except ValueError:
        return [text]
    return [part.strip('"') for part in parts] if windows else parts


@dataclass(frozen=True, slots=True)
class Supervision:
    """The socket on which systemd listens (None: nobody does), and the longest time in seconds
    between two signs of life (None: none are asked for)."""

    socket: str | None = None
    watchdog: float | None = None


def supervision() -> Supervision:
    """The supervision of this process."""
    return read_supervision(os.environ, os.getpid())


def read_supervision(environ: Mapping[str, str], pid: int) -> Supervision:
    """The supervision as sd_notify(3) and sd_watchdog_enabled(3) read it: the watchdog may be meant
    for another process, whose environment was inherited."""
    socket = environ.get("NOTIFY_SOCKET") or None
    asked = environ.get("WATCHDOG_USEC", "")
    meant_for = environ.get("WATCHDOG_PID") or str(pid)
    if socket is None or meant_for != str(pid) or not asked.isdecimal() or not int(asked):
        return Supervision(socket)
    return Supervision(socket, int(asked) / 1_000_000)


def program_data(environ: Mapping[str, str] | None = None) -> Path:
    """%ProgramData%: for programs that belong to no person."""
    values = os.environ if environ is None else environ
    return Path(values.get("PROGRAMDATA") or "C:\\ProgramData")


def people(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of the profiles of persons, which no service account may read."""
    values = os.environ if environ is None else environ
    drive = values.get("SYSTEMDRIVE") or "C:"
    return Path(f"{drive}\\Users")


def system_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of the programs of Windows itself."""
    values = os.environ if environ is None else environ
    return Path(values.get("SYSTEMROOT") or "C:\\Windows") / "System32"


def install_command(extra: str = "") -> str:
    """Command that installs this program into its environment again, with an extra: by the pip of
    that environment, by uv where it has none, and as a clone that is being worked on if it is one.
    """
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    pip = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    editable = " -e" if _origin().get("dir_info", {}).get("editable") else ""
    return f'{pip}{editable} "{requirement(extra)}"'


def requirement(extra: str = "") -> str:
    """Requirement that `pip install` takes to install this program again, with an extra: the folder
    or file that it was installed from, or its name where that was a package index (PEP 610)."""
    wanted = f"[{extra}]" if extra else ""
    origin = _origin()
    url = str(origin.get("url", ""))
    if "dir_info" in origin:
        return url2pathname(urlsplit(url).path) + wanted
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{NAME}{wanted} @ {vcs.get('vcs')}+{url}@{vcs.get('commit_id')}"
    return f"{NAME}{wanted} @ {url}" if url else f"{NAME}{wanted}"


def _origin() -> dict[str, Any]:
    try:
        text = distribution(NAME).read_text("direct_url.json")
        found = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
