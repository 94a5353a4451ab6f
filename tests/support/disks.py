"""Deliveries for a spool, and disks that are slow or fail."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.spool.files import Appender, Files
from consumer.spool.spool import Spool

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=timezone.utc)
MARKER = b"\x01marker\xff"
MIB = 1 << 20


def delivery(number: int, body: bytes | None = None) -> Delivery:
    at = NOW + timedelta(seconds=number)
    return Delivery(
        id=f"delivery-{number}",
        body=b'{"id":%d}' % number if body is None else body,
        headers=Headers({"X-Nice-Webhook-Signature": "c2ln\xe9", "User-Agent": "cxone"}),
        received_at=at,
        verdict=Verdict("previous", at + timedelta(milliseconds=5)),
    )


def ids(spool: Spool, count: int = 1000) -> list[str]:
    return [entry.delivery.id for entry in spool.take(count)]


def files_of(path: Path) -> list[Path]:
    return sorted(path.glob("*.spool"))


class SlowDisk(Files):
    """Counts syncs, each of which waits while `held` is held."""

    def __init__(self) -> None:
        self.held = threading.Lock()
        self.syncs = 0

    def create(self, path: Path) -> Appender:
        return Watched(super().create(path), self._sync)

    def _sync(self) -> None:
        with self.held:
            self.syncs += 1


class FailingDisk(Files):
    """Says that the disk is full when `failing` is called; a failing write takes half."""

    failing = ""
    error: Exception = OSError(errno.ENOSPC, "No space left on device")

    def create(self, path: Path) -> Appender:
        self._check("create")
        return Watched(
            super().create(path), lambda: self._check("sync"), lambda: self._check("write")
        )

    def sync_directory(self, path: Path) -> None:
        self._check("sync_directory")
        super().sync_directory(path)

    def _check(self, name: str) -> None:
        if name == self.failing:
            raise self.error


class Watched:
    def __init__(
        self, inner: Appender, on_sync: Callable[[], None], on_write: Callable[[], object] = list
    ) -> None:
        self._inner = inner
        self._on_sync = on_sync
        self._on_write = on_write
        self.truncate = inner.truncate
        self.close = inner.close

    def write(self, data: bytes) -> None:
        try:
            self._on_write()
        except OSError:
            self._inner.write(data[: len(data) // 2])
            raise
        self._inner.write(data)

    def sync(self) -> None:
        self._on_sync()
        self._inner.sync()
