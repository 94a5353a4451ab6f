"""Measure the spool beside what else could hold the queue, SQLite:
`python -m tests.bench.bench_spool [--count 20000] [--size 1000] [--threads 16] [--directory DIR]`.

SQLite is given the same chances: WAL with synchronous=FULL, and one transaction for all deliveries
that come while another one is written.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter, process_time
from typing import Protocol

from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.core.group_commit import GroupCommit
from consumer.spool.records import decode, encode
from consumer.spool.spool import Spool

_LOT = 256
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Queue(Protocol):
    """The two that are compared."""

    def append(self, delivery: Delivery) -> None: ...

    def drain(self) -> int:
        """Take everything out in lots; how many that was."""

    def close(self) -> None: ...


class Segments:
    """The spool of this program."""

    def __init__(self, directory: Path) -> None:
        self._spool = Spool(directory, 1 << 40)
        self.append = self._spool.append
        self.close = self._spool.close

    def drain(self) -> int:
        count = 0
        while lot := self._spool.take(_LOT):
            count += len(lot)
            self._spool.remove(lot)
        return count


@dataclass(slots=True, eq=False)
class _Row:
    payload: bytes
    size: int


class Sqlite:
    """A table in WAL mode, with its transactions shared as the spool shares its syncs."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._connection = sqlite3.connect(
            directory / "queue.db", isolation_level=None, check_same_thread=False
        )
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE queue (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)",
        ):
            self._connection.execute(statement)
        self._using = threading.Lock()
        self._group: GroupCommit[_Row] = GroupCommit(self._insert, in_flight=1)

    def append(self, delivery: Delivery) -> None:
        payload = encode(delivery)
        self._group.submit(_Row(payload, len(payload)))

    def drain(self) -> int:
        count = 0
        while True:
            with self._using:
                rows = self._connection.execute(
                    "SELECT id, payload FROM queue ORDER BY id LIMIT ?", (_LOT,)
                ).fetchall()
                for _, payload in rows:
                    decode(payload)
                if not rows:
                    return count
                self._connection.execute("DELETE FROM queue WHERE id <= ?", (rows[-1][0],))
                count += len(rows)

    def close(self) -> None:
        self._connection.close()

    def _insert(self, rows: Sequence[_Row]) -> None:
        with self._using:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO queue (payload) VALUES (?)", [(row.payload,) for row in rows]
            )
            self._connection.execute("COMMIT")


@dataclass(frozen=True, slots=True)
class Cost:
    """Deliveries a second, CPU and bytes written to the disk for each."""

    rate: float
    cpu: float
    written: float


def measure(count: int, work: Callable[[], object]) -> Cost:
    before, cpu, began = _written(), process_time(), perf_counter()
    work()
    took = perf_counter() - began
    return Cost(count / took, (process_time() - cpu) / count, (_written() - before) / count)


def fill(queue: Queue, deliveries: Iterator[Delivery], threads: int) -> None:
    taking = threading.Lock()

    def work(_: int) -> None:
        while True:
            with taking:
                delivery = next(deliveries, None)
            if delivery is None:
                return
            queue.append(delivery)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))


def _written() -> int:
    """Bytes that this process has had written to disks so far; Linux only, else 0."""
    path = Path("/proc/self/io")
    if not path.exists():
        return 0
    lines = dict(line.split(": ") for line in path.read_text().splitlines())
    return int(lines["write_bytes"])


def _deliveries(count: int, size: int) -> Iterator[Delivery]:
    headers, verdict = Headers({"x-nice-webhook-signature": "c" * 44}), Verdict("current", NOW)
    for number in range(count):
        yield Delivery(f"{number:032x}", os.urandom(size), headers, NOW, verdict)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_spool", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=1000, help="bytes of a body")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--directory", type=Path, help="where to write (a real disk)")
    options = parser.parse_args(arguments)
    print(f"{options.count} deliveries of {options.size} bytes, {options.threads} threads")
    print(f"{'':22}{'a second':>10}{'CPU us':>8}{'written B':>11}")
    for kind in (Segments, Sqlite, Segments, Sqlite):
        with tempfile.TemporaryDirectory(dir=options.directory) as directory:
            queue: Queue = kind(Path(directory) / "queue")
            with closing(queue):
                source = list(_deliveries(options.count, options.size))
                into = measure(options.count, lambda: fill(queue, iter(source), options.threads))  # noqa: B023
                out = measure(options.count, queue.drain)
        for what, cost in (("in", into), ("out", out)):
            name = f"{kind.__name__.lower()}, {what}"
            print(f"{name:22}{cost.rate:10.0f}{1e6 * cost.cpu:8.0f}{cost.written:11.0f}")


if __name__ == "__main__":
    main()
