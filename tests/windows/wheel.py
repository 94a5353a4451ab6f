"""Get the Python modules of the pywin32 wheel for Windows: real code, not a copy of it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# Pure Python in the wheel; everything else in it is for Windows alone.
_MODULES = ("win32serviceutil.py", "win32evtlogutil.py", "win32con.py", "winerror.py")
_VERSION = "312"


def pywin32(cache: Path) -> Path:
    """A directory with them, fetched once. Skips where the wheel cannot be had, but not in CI."""
    place = cache / f"pywin32-{_VERSION}"
    if all((place / name).is_file() for name in _MODULES):
        return place
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(cache),
    ]
    command += ["--platform", "win_amd64", "--python-version", "3.11", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, f"pywin32=={_VERSION}"], capture_output=True, text=True, timeout=300, check=False
    )
    wheels = list(cache.glob(f"pywin32-{_VERSION}-*.whl"))
    if done.returncode or not wheels:
        message = f"the pywin32 wheel cannot be had: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    place.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheels[0]) as wheel:
        for name in _MODULES:
            (place / name).write_bytes(wheel.read(f"win32/lib/{name}"))
    wheels[0].unlink()
    return place
