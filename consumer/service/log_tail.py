"""Read the end of a log file that another process writes, and what it appends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

_MOST = 4 * 1024 * 1024
# Seconds between two looks.
_LOOK = 0.5


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines`, as far as the last megabytes hold them."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MOST))
        text = file.read().decode("utf-8", "replace")
    return text.splitlines(keepends=True)[-lines:]


def appended(path: Path) -> Iterator[str]:
    """What is appended from now on; of a file that began anew, all of it."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
    while True:
        time.sleep(_LOOK)
        # Opened each time: an open file could not be renamed when it has grown too long.
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < end:
                end = 0
            file.seek(end)
            yield file.read(size - end).decode("utf-8", "replace")
            end = size
