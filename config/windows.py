"""Where Windows keeps the files of services, as the environment of this process says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def program_data(environ: Mapping[str, str] | None = None) -> Path:
    """%ProgramData%: for programs that belong to no person."""
    values = os.environ if environ is None else environ
    return Path(values.get("PROGRAMDATA") or "C:\\ProgramData")


def people(environ: Mapping[str, str] | None = None) -> Path:
    """Where the profiles of persons are, which no service account may read."""
    values = os.environ if environ is None else environ
    drive = values.get("SYSTEMDRIVE") or "C:"
    return Path(f"{drive}\\Users")


def system_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where the programs of Windows itself are."""
    values = os.environ if environ is None else environ
    return Path(values.get("SYSTEMROOT") or "C:\\Windows") / "System32"
