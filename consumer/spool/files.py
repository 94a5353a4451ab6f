"""The few operations of a spool on files: the layer at which a disk can be simulated."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Protocol

if sys.platform == "darwin":
    import fcntl


class Appender(Protocol):
    """An open file that grows at its end."""

    def write(self, data: bytes) -> None: ...

    def sync(self) -> None:
        """Return when the disk, not just its cache, has everything written so far."""

    def truncate(self, length: int) -> None: ...

    def close(self) -> None: ...


class Files:
    """The file system; raises OSError."""

    def make_directory(self, path: Path) -> None:
        """Create it where absent, and make its name durable, and that of the directory it is in:
        both may be as new as the program."""
        path.mkdir(mode=0o700, exist_ok=True)
        self.sync_directory(path.parent)
        # One that may not be read cannot be synced; then it was not made by this user either.
        with contextlib.suppress(PermissionError):
            self.sync_directory(path.parent.parent)

    def names(self, path: Path) -> list[str]:
        return [entry.name for entry in path.iterdir()]

    def create(self, path: Path) -> Appender:
        """A new file; durable once it and its directory are synced."""
        return _LocalAppender(path)

    def read(self, path: Path, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on; fewer at the end only."""
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(count)

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def replace(self, path: Path, content: bytes) -> None:
        """Put a small file in the place of another at once; not synced."""
        draft = path.with_suffix(".new")
        draft.write_bytes(content)
        draft.replace(path)

    def rename(self, path: Path, target: Path) -> None:
        """Give a file that is synced its name, which nothing has; durable with the directory."""
        path.rename(target)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def in_use(self, error: OSError) -> bool:
        """True where another program may have the file open for itself alone, as backups and virus
        scanners do on Windows. It tells that from missing rights only now and then."""
        return sys.platform == "win32" and isinstance(error, PermissionError)

    def takes_writes(self, directory: Path) -> bool:
        """True where a small file can be made durable in it just now."""
        probe = directory / "probe"
        try:
            self.remove(probe)
            appender = self.create(probe)
            try:
                appender.write(b"\n")
                appender.sync()
            finally:
                appender.close()
            self.remove(probe)
        except OSError:
            return False
        return True

    def sync_directory(self, path: Path) -> None:
        """Make the names in it durable. Windows has no such call, and needs none."""
        if sys.platform == "win32":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _private(path: str, flags: int) -> int:
    # Payloads are customers' data, and the directory may have been there before, open to others.
    return os.open(path, flags, 0o600)


class _LocalAppender:
    def __init__(self, path: Path) -> None:
        # Unbuffered: what a failed write left in a buffer must not reach the file later.
        self._file = open(path, "xb", buffering=0, opener=_private)  # noqa: SIM115

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            # A disk that fills up takes a part first, and refuses the next.
            view = view[self._file.write(view) :]

    def sync(self) -> None:
        if sys.platform == "darwin":
            # There fsync stops at the cache of the disk.
            fcntl.fcntl(self._file.fileno(), fcntl.F_FULLFSYNC)
        else:
            os.fsync(self._file.fileno())

    def truncate(self, length: int) -> None:
        self._file.truncate(length)
        self._file.seek(length)

    def close(self) -> None:
        self._file.close()
