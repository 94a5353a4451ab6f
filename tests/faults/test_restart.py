"""A service stopped, restarted or replaced under load answers all it took and loses nothing."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.ingest.signature import SignatureScheme, sign
from consumer.spool.survey import directory_in, survey
from tests.faults.events import event, verify
from tests.faults.process import Process, process
from tests.faults.relay import relay
from tests.faults.senders import Answered, percentile, send_all, send_at_rate
from tests.support.replica_set import replica_set
from tests.support.service import PATH, SECRET, eventually

Db = Database[dict[str, Any]]
pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no SIGTERM to send to another process"
)


def request(number: int) -> bytes:
    """A whole signed POST."""
    body = json.dumps(event(number)).encode()
    signed = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    lines = [
        f"POST {PATH} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in signed.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def status(connection: socket.socket) -> int:
    """The status of the one answer, after which the connection is closed; 0 where none came."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        return 0
    return int(received.split()[1]) if received else 0


def stop_with_in_flight(service: Process, count: int) -> list[int]:
    """The statuses of requests that are at different points when the service is told to stop: a
    half is whole and waits its turn, of a quarter the last byte comes later, of the rest the
    body."""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(service.address, timeout=40))
            for _ in range(count)
        ]
        cuts = []
        for number, connection in enumerate(connections):
            data = request(number)
            cut = (len(data), len(data), len(data) - 1, data.index(b"\r\n\r\n") + 4)[number % 4]
            connection.sendall(data[:cut])
            cuts.append(data[cut:])
        service.terminate()
        time.sleep(0.2)
        for connection, rest in zip(connections, cuts, strict=True):
            connection.sendall(rest)
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(status, connections))


@pytest.mark.slow
def test_a_stop_with_200_requests_in_flight_answers_and_keeps_them_all(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with process(mongod_uri, database.name, data_dir) as service:
        began = time.monotonic()
        statuses = stop_with_in_flight(service, 200)
        answered = time.monotonic() - began
        ended = service.wait()
        took = time.monotonic() - began
        service.start()
        eventually(lambda: survey(directory_in(data_dir)).depth == 0, 30)
    print(f"{dict(Counter(statuses))}: answered in {answered:.2f} s, ended after {took:.2f} s")

    assert set(statuses) <= {200, 202}
    assert ended == 0
    verify(database, mongod_uri, range(200))


@pytest.mark.slow
def test_a_stop_while_mongodb_does_not_answer_spools_all_in_flight(
    mongod_dir: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with replica_set(mongod_dir, nodes=1) as members:
        (node,) = members.nodes
        with process(members.uri, "stopped", data_dir) as service:
            send_at_rate(service.address, 20, 0.5, first=200)
            node.freeze()
            began = time.monotonic()
            statuses = stop_with_in_flight(service, 200)
            answered = time.monotonic() - began
            ended = service.wait()
            took = time.monotonic() - began
            waiting = survey(directory_in(data_dir)).depth
            node.thaw()
            service.start()
            eventually(lambda: survey(directory_in(data_dir)).depth == 0, 30)
        print(f"{dict(Counter(statuses))}: answered in {answered:.2f} s, ended after {took:.2f} s")

        assert statuses == [202] * 200
        assert ended == 0
        assert waiting >= 200
        with closing(MongoClient[dict[str, Any]](members.uri, tz_aware=True)) as client:
            verify(client["stopped"], members.uri, range(210))


def restart(service: Process, times: int, pause: float) -> list[float]:
    """Stop and start it again; the seconds from each start to the first answer."""
    starts = []
    for _ in range(times):
        time.sleep(pause)
        service.terminate()
        assert service.wait() == 0
        starts.append(service.start())
    return starts


def survive_restarts(database: Db, uri: str, data_dir: Path, deliveries: int, times: int) -> None:
    answers: list[Answered] = []
    with process(uri, database.name, data_dir) as service, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_all, service.address, range(deliveries), 16, answers)
        starts = restart(service, times, pause=0.5)
        sending.result()
        eventually(lambda: survey(directory_in(data_dir)).depth == 0, 30)
    print(
        f"{deliveries} deliveries, {times} restarts,"
        f" first answer after {min(starts):.2f}-{max(starts):.2f} s"
    )
    verify(database, uri, range(deliveries))


@pytest.mark.slow
def test_restarts_under_load_lose_nothing(mongod_uri: str, database: Db, tmp_path: Path) -> None:
    survive_restarts(database, mongod_uri, tmp_path / "data", deliveries=3000, times=2)


@pytest.mark.faults_full
def test_20_restarts_under_load_lose_nothing(mongod_uri: str, database: Db, tmp_path: Path) -> None:
    survive_restarts(database, mongod_uri, tmp_path / "data", deliveries=10_000, times=20)


def roll(database: Db, uri: str, directory: Path, *, rate: float, rounds: int) -> None:
    """Replace two services behind a balancer one after the other, `rounds` times. Half of the
    deliveries come over new connections, half over kept ones; each is sent once and answered."""
    with ExitStack() as stack:
        services = [
            stack.enter_context(process(uri, database.name, directory / name)) for name in "ab"
        ]
        balancer = stack.enter_context(relay(*(service.address for service in services)))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        stop = threading.Event()
        stack.callback(stop.set)
        fresh, kept = (
            pool.submit(
                send_at_rate, balancer.address, rate / 2, 600, 8, first=first, fresh=new, stop=stop
            )
            for first, new in ((0, True), (100_000, False))
        )
        for _ in range(rounds):
            for service in services:
                restart(service, 1, pause=0.5)
        stop.set()
        answers = [*fresh.result(), *kept.result()]
        spools = [directory_in(directory / name) for name in "ab"]
        eventually(lambda: not any(survey(spool).depth for spool in spools), 30)
    statuses = Counter(answer.status for answer in answers)
    seconds = [answer.seconds for answer in answers]
    print(
        f"{len(answers)} deliveries over {2 * rounds} replacements, answers {dict(statuses)};"
        f" p99 {1000 * percentile(seconds, 0.99):.0f} ms, longest {1000 * max(seconds):.0f} ms"
    )
    assert set(statuses) <= {200, 202}
    verify(database, uri, [answer.number for answer in answers])


@pytest.mark.slow
def test_a_rolling_restart_behind_a_balancer_fails_no_delivery(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    roll(database, mongod_uri, tmp_path, rate=60, rounds=1)


@pytest.mark.faults_full
def test_ten_rolling_restarts_behind_a_balancer_fail_no_delivery(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    roll(database, mongod_uri, tmp_path, rate=200, rounds=10)
