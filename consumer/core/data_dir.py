"""Own a data directory: create it, and keep every other process out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from consumer.core.clock import utc_now
from consumer.core.errors import SetupError

LOCK = "lock"
# Beside the lock, not in it: taking a lock truncates its file on some systems, and Windows
# lets nobody read a locked one.
OWNER = "owner.json"


class DataDirectory:
    """A directory that belongs to this process while the `with` block (or acquire/release) lasts.

    The lock is the kernel's: it goes when the process goes, even by kill -9.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        # Links stay in it: to follow them fails on long paths where to use them does not.
        self.path = path.absolute()
        self._clock = clock
        # Not per thread: whoever stops the program may be another thread than who started it.
        self._lock = FileLock(self.path / LOCK, blocking=False, mode=0o600, thread_local=False)

    def acquire(self) -> None:
        """Create the directory where absent and lock it, or raise SetupError at once."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            self._write_owner()
        except Timeout:
            raise SetupError(
                f"data directory {self.path} is in use by {_owner_text(self.path)}: stop that"
                " process, or give this one a directory of its own (CXONE_DATA_DIR)"
            ) from None
        except (OSError, NotImplementedError) as error:
            self._lock.release()
            fact = getattr(error, "strerror", None) or str(error)
            raise SetupError(
                f"data directory {self.path} cannot be used ({fact}): let the user this program"
                " runs as create and write it on a local disk, or set CXONE_DATA_DIR to another one"
            ) from error

    def release(self) -> None:
        """Let others have the directory; its files stay. A second call does nothing."""
        if self._lock.is_locked:
            (self.path / OWNER).unlink(missing_ok=True)
            self._lock.release()

    def _write_owner(self) -> None:
        owner = {"pid": os.getpid(), "started": self._clock().isoformat(timespec="seconds")}
        draft = self.path / f"{OWNER}.new"
        draft.write_text(json.dumps(owner), encoding="utf-8")
        # One step, so that a reader never sees half of it.
        draft.replace(self.path / OWNER)

    def __enter__(self) -> DataDirectory:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _owner_text(path: Path) -> str:
    """Words for the last owner; the file is a courtesy and may be missing or foreign."""
    try:
        with (path / OWNER).open(encoding="utf-8") as file:
            owner = json.loads(file.read(1000))
        return f"process {int(owner['pid'])} (started {datetime.fromisoformat(owner['started'])})"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"


def owner_of(path: Path) -> str | None:
    """Name the process that has the directory now: `process 7 (started …)`; None where none has."""
    # Without an owner's note the lock is left alone, for a service that starts now needs it.
    if not (path / OWNER).exists():
        return None
    try:
        with FileLock(path / LOCK, blocking=False, mode=0o600):
            return None
    except (Timeout, OSError):
        return _owner_text(path)
