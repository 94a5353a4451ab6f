"""Write a log file that begins anew before it grows too long, and follow it from elsewhere."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_LIMIT = 10 * 1024 * 1024
_KEPT = 5
# Bytes that are read for the last lines.
_MOST = 4 * 1024 * 1024
# Seconds between two looks.
_LOOK = 0.5


class LogFile(io.TextIOBase, TextIO):
    """Text is appended to `path`; older parts are `path`.1 (the newest) to `path`.5."""

    def __init__(self, path: Path, limit: int = _LIMIT, kept: int = _KEPT) -> None:
        self._path = path
        self._limit = limit
        self._kept = kept
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open()

    def write(self, text: str) -> int:
        with self._lock:
            if self._file.tell() + len(text) > self._limit:
                self._begin_anew()
            return self._file.write(text)

    def flush(self) -> None:
        with self._lock:
            self._file.flush()

    def close(self) -> None:
        if not self.closed:
            super().close()  # which flushes
            self._file.close()

    def writable(self) -> bool:
        return True

    def _open(self) -> TextIO:
        file = self._path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")
        file.seek(0, io.SEEK_END)
        return file

    def _begin_anew(self) -> None:
        self._file.close()
        # Windows renames no file that somebody reads: then it grows on until the next attempt.
        with contextlib.suppress(OSError):
            for number in range(self._kept - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._part(number).replace(self._part(number + 1))
            self._path.replace(self._part(1))
        self._file = self._open()

    def _part(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines`, as far as the last megabytes hold them."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MOST))
        text = file.read().decode("utf-8", "replace")
    return text.splitlines(keepends=True)[-lines:]


def appended(path: Path) -> Iterator[str]:
    """Text as it is appended from now on; of a file that began anew, all of it."""
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
