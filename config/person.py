"""Know who sits at the terminal: the name of the user, and the editor they like."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
from collections.abc import Mapping

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
