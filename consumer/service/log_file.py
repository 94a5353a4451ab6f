"""A log file that begins anew before it grows too long, for where nobody else collects the log."""

from __future__ import annotations

import contextlib
import io
import threading
from pathlib import Path
from typing import TextIO

_LIMIT = 10 * 1024 * 1024
_KEPT = 5


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
