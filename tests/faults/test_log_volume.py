"""An attacker who cannot sign cannot fill the disk with log lines either."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.faults.process import Process, process
from tests.support.service import PATH

Db = Database[dict[str, Any]]
_CONNECTIONS = 8


def attacks(number: int) -> Sequence[bytes]:
    """A stranger's requests: forged and missing signatures, odd paths and methods, no HTTP."""
    body = b'{"id":"%d","type":"forged"}' % number
    post = b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n" % (PATH.encode(), len(body))
    return (
        post + b"X-Nice-Webhook-Signature: %044d\r\n\r\n" % number + body,
        post + b"X-Nice-Webhook-Signature: sha256=%064x\r\n\r\n" % number + body,
        post + b"\r\n" + body,
        b"GET /admin/%d HTTP/1.1\r\nHost: h\r\n\r\n" % number,
        b"DELETE %b HTTP/1.1\r\nHost: h\r\n\r\n" % PATH.encode(),
        b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n" % PATH.encode(),
        b"%d is no HTTP\r\n\r\n" % number,
    )


def attack(service: Process, count: int) -> Counter[str]:
    """Send so many requests; how many had which answer."""

    def work(worker: int) -> Counter[str]:
        statuses: Counter[str] = Counter()
        connection = socket.create_connection(service.address, timeout=20)
        for number, data in requests(worker):
            connection.sendall(data)
            # Now and then one hangs up before the answer.
            status, open_ = answer(connection) if number % 50 else ("none", False)
            statuses[status] += 1
            if not open_:
                connection.close()
                connection = socket.create_connection(service.address, timeout=20)
        connection.close()
        return statuses

    def requests(worker: int) -> Iterator[tuple[int, bytes]]:
        for number in range(worker, count, _CONNECTIONS):
            kinds = attacks(number)
            # Nine of ten are forged: those cost most.
            yield number, kinds[number % len(kinds) if number % 10 == 0 else number % 3]

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return sum(pool.map(work, range(_CONNECTIONS)), Counter())


def answer(connection: socket.socket) -> tuple[str, bool]:
    """The status of an answer, and whether the connection stays open."""
    response = HTTPResponse(connection)
    try:
        response.begin()
        response.read()
    except (OSError, HTTPException):
        return "closed", False
    return str(response.status), not response.will_close


def log_under_attack(database: Db, uri: str, tmp_path: Path, count: int) -> int:
    """Bytes that the attack adds to the log."""
    with process(uri, database.name, tmp_path / "data") as service:
        attack(service, 50)
        before = service.log.stat().st_size
        statuses = attack(service, count)
        size = service.log.stat().st_size - before
        errors = [line for line in service.lines() if line["level"] == "error"]
    print(f"{count} requests, answers {dict(statuses)}: {size} bytes of log")
    assert all(status in ("none", "closed") or status.startswith("4") for status in statuses)
    assert statuses["401"] > count * 0.8
    assert not errors
    return size


@pytest.mark.slow
def test_forged_deliveries_add_next_to_nothing_to_the_log(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    assert log_under_attack(database, mongod_uri, tmp_path, 2000) < 20_000


@pytest.mark.faults_full
def test_20000_forged_deliveries_add_next_to_nothing_to_the_log(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    assert log_under_attack(database, mongod_uri, tmp_path, 20_000) < 50_000
