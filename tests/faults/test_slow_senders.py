"""Slow, silent and countless connections keep nobody else waiting, and take bounded memory."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.faults.senders import percentile
from tests.support.processes import Serving, serving
from tests.support.senders import Address
from tests.support.service import PATH, SECRET
from tests.support.spool import Sender

Db = Database[dict[str, Any]]
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: h\r\n".encode()
BODY = HEAD + b"Content-Length: 900000\r\n\r\n"


def resident(process: Serving) -> float:
    """MiB of memory the service has; 0 where the system does not tell it like Linux."""
    status = Path(f"/proc/{process.process.pid}/status")
    if not status.exists():
        return 0.0
    lines = status.read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def drip(connection: socket.socket, pieces: Iterator[bytes], stop: threading.Event) -> None:
    for piece in pieces:
        if stop.wait(0.1):
            return
        connection.sendall(piece)


def stall(connection: socket.socket, data: bytes, stop: threading.Event) -> None:
    connection.sendall(data)
    stop.wait()


def half_close(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(HEAD)
    connection.shutdown(socket.SHUT_WR)
    stop.wait(1)


WAYS: tuple[Callable[[socket.socket, threading.Event], None], ...] = (
    lambda one, stop: drip(one, itertools.repeat(b"X"), stop),
    lambda one, stop: drip(one, itertools.chain([HEAD], itertools.repeat(b"X-A: b\r\n")), stop),
    lambda one, stop: drip(one, itertools.chain([BODY], itertools.repeat(b"x" * 20_000)), stop),
    lambda one, stop: stall(one, b"", stop),
    lambda one, stop: stall(one, BODY + b"x" * 800_000, stop),
    half_close,
)


@contextmanager
def slow_senders(address: Address, count: int) -> Iterator[None]:
    """So many senders of all ways; each connects again when it is closed."""
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection(address, 10) as connection:
                WAYS[number % len(WAYS)](connection, stop)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(15)


@contextmanager
def idle_connections(address: Address, rate: float) -> Iterator[list[socket.socket]]:
    """Connections that say nothing, so many a second, and are never given up."""
    stop, opened = threading.Event(), list[socket.socket]()

    def work() -> None:
        while not stop.wait(1 / rate):
            opened.append(socket.create_connection(address, 10))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield opened
    finally:
        stop.set()
        thread.join(15)
        for connection in opened:
            connection.close()


def good_ones(address: Address, rate: float, seconds: float) -> tuple[Counter[int], float, float]:
    """Statuses, p99 and maximum (seconds) of events sent when they are due, each on a new
    connection, as senders without keep-alive do."""
    statuses, took = Counter[int](), list[float]()
    begin = time.monotonic()
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        sender = Sender(address, timeout=20)
        status, _ = sender.post({"id": str(number), "type": "t"})
        sender.close()
        statuses[status] += 1
        took.append(time.monotonic() - due)
    return statuses, percentile(took, 0.99), max(took)


def address_of(running: Serving) -> Address:
    return "127.0.0.1", int(running.url.split(":")[2].split("/")[0])


def settings(uri: str, database: Db, **more: str) -> dict[str, str]:
    return {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database.name,
        **more,
    }


def beside_slow_ones(uri: str, database: Db, path: Path, seconds: float) -> float:
    given = settings(uri, database, CXONE_REQUEST_TIMEOUT="3s")
    with serving(path, given) as running:
        address = address_of(running)
        good_ones(address, 20, 1)
        before = resident(running)
        with slow_senders(address, 60):
            statuses, p99, slowest = good_ones(address, 20, seconds)
            after = resident(running)
    print(
        f"beside 60 slow senders: {dict(statuses)}, p99 {p99:.3f} s, slowest {slowest:.3f} s,"
        f" memory {before:.0f} -> {after:.0f} MiB"
    )
    assert set(statuses) <= {200, 202}
    return p99


@pytest.mark.slow
def test_good_senders_are_served_beside_60_slow_ones(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    beside_slow_ones(mongod_uri, database, tmp_path, seconds=5)


@pytest.mark.faults_full
def test_good_senders_wait_less_than_a_second_beside_60_slow_ones(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    assert beside_slow_ones(mongod_uri, database, tmp_path, seconds=60) < 1.0


@pytest.mark.slow
def test_good_senders_are_served_while_idle_connections_go_beyond_the_limit(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    given = settings(mongod_uri, database, CXONE_MAX_CONNECTIONS="200")
    with serving(tmp_path, given) as running, idle_connections(address_of(running), 200) as idle:
        while len(idle) < 300:
            time.sleep(0.05)
        statuses, p99, slowest = good_ones(address_of(running), 20, 3)

    print(f"{len(idle)} idle: {dict(statuses)}, p99 {p99:.3f} s, slowest {slowest:.3f} s")
    assert set(statuses) <= {200, 202}
    assert sum("more connections than the limit" in line for line in running.lines) == 1


@pytest.mark.slow
def test_memory_is_bounded_when_large_bodies_stall(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    given = settings(mongod_uri, database, CXONE_MAX_WAITING_BYTES="16MiB")
    connections = []
    with serving(tmp_path, given) as running:
        address = address_of(running)
        good_ones(address, 20, 0.5)
        before = resident(running)
        for _ in range(200):
            connection = socket.create_connection(address, 10)
            with contextlib.suppress(OSError):
                connection.sendall(BODY + b"x" * 800_000)
            connections.append(connection)
        after = resident(running)
        statuses, _, _ = good_ones(address, 20, 0.5)
        for connection in connections:
            connection.close()

    print(f"200 x 800 kB unfinished, bound 16 MiB: memory {before:.0f} -> {after:.0f} MiB")
    assert set(statuses) <= {200, 202}
    assert after - before < 80
