"""Senders that take no answers: nobody waits for them, and what they leave is bounded."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.http.server.server import Server
from consumer.ingest.signature import SignatureScheme, sign
from tests.support.senders import Address, exchange, one_answer, receive, running
from tests.support.service import PATH, SECRET, eventually, running_service

# More than the systems keep of a connection.
ANSWER = 1024 * 1024
GET = b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n"


class Counting:
    """Answers 1 MiB under /big, a word elsewhere, and counts the calls of each path."""

    def __init__(self) -> None:
        self.calls = Counter[str]()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.calls[path] += 1
        body = b"x" * ANSWER if path == "/big" else b"ok"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


@contextmanager
def unread(address: Address, count: int, data: bytes) -> Iterator[list[socket.socket]]:
    """So many connections on which `data` was sent as far as it is taken, and nothing read."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10)
            connection.connect(address)
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.send(data)
            opened.append(connection)
        yield opened


def settled(app: Counting, path: str = "/big") -> int:
    """Calls once no more come."""
    before = -1
    while app.calls[path] != before:
        before = app.calls[path]
        time.sleep(0.5)
    return before


@pytest.mark.parametrize("count", [8, 64])
def test_nobody_waits_for_senders_that_pipeline_and_never_read(count: int) -> None:
    app = Counting()
    with (
        running(app, delivery_paths=frozenset({"/delivery"})) as (server, _),
        unread(server.address, count, GET * 5000),
    ):
        calls = settled(app)
        answers = [exchange(server.address, b"GET /x HTTP/1.0\r\n\r\n", 20) for _ in range(20)]

    assert all(answer.endswith(b"ok") for answer in answers)
    # No second one of any is begun.
    assert calls == count


def test_a_stop_does_not_wait_for_senders_that_never_read() -> None:
    with (
        running(Counting(), drain_timeout=60) as (server, thread),
        unread(server.address, 8, GET * 5000),
    ):
        time.sleep(1)
        began = time.monotonic()
        server.stop()
        thread.join(30)
        took = time.monotonic() - began

    assert took < 15


def test_a_stop_does_not_wait_for_a_request_that_is_never_sent_whole() -> None:
    with running(drain_timeout=60, request_timeout=60) as (server, thread):
        half = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx"
        with socket.create_connection(server.address, timeout=10) as connection:
            connection.sendall(half)
            time.sleep(0.5)
            began = time.monotonic()
            server.stop()
            thread.join(30)
            took = time.monotonic() - began

    assert took < 15


def test_an_answer_that_is_taken_too_slowly_ends_at_its_deadline() -> None:
    with (
        running(Counting(), request_timeout=1) as (server, _),
        unread(server.address, 1, GET * 100) as (connection,),
    ):
        time.sleep(0.5)
        connection.settimeout(1)
        began, taken = time.monotonic(), b"x"
        # Never idle, and never done.
        while taken and time.monotonic() - began < 20:
            time.sleep(0.1)
            with contextlib.suppress(TimeoutError):
                taken = take(connection)
            if server.connections == 0:
                break
        took = time.monotonic() - began

    assert server.connections == 0
    assert took < 15


def take(connection: socket.socket) -> bytes:
    try:
        return connection.recv(10)
    except ConnectionResetError:
        return b""


def test_what_waits_to_be_sent_is_bounded_and_the_longest_waiting_go_first() -> None:
    limit = 20 * ANSWER
    app = Counting()
    with (
        running(app, max_unsent_bytes=limit, request_timeout=60) as (server, _),
        unread(server.address, 20, GET * 5000) as first,
    ):
        eventually(lambda: unsent(server) > limit // 4)
        with unread(server.address, 15, GET * 5000) as last:
            eventually(lambda: app.calls["/big"] == 35)
            time.sleep(1)
            waiting = unsent(server)
            lost = [sum(not is_there(one) for one in each) for each in (first, last)]
            answer = exchange(server.address, b"GET /x HTTP/1.0\r\n\r\n")

    assert limit // 2 < waiting <= limit
    assert lost[0] > lost[1]
    assert answer.endswith(b"ok")


def unsent(server: Server) -> int:
    """Bytes that wait in the process for their senders."""
    return sum(
        channel.total_outbufs_len
        for listener in server._listeners
        for channel in list(listener.active_channels.values())
    )


def is_there(connection: socket.socket) -> bool:
    """Tell whether the other end still holds the connection, whatever there is to read."""
    try:
        connection.send(b"G")
        time.sleep(0.01)
        connection.send(b"G")
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def test_senders_that_pipeline_and_read_late_get_every_answer_in_order() -> None:
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(300))
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "20000")])
        return [b"x" * 20000]

    with running(app) as (server, _), socket.create_connection(server.address) as connection:
        connection.settimeout(10)
        connection.sendall(requests + b"GET /end HTTP/1.1\r\nConnection: close\r\n\r\n")
        time.sleep(1)
        answers = receive(connection)

    assert answers.count(b"HTTP/1.1 200 OK") == 301
    assert seen == [*(f"/{number}" for number in range(300)), "/end"]


def test_requests_of_one_packet_are_all_answered_while_stopping() -> None:
    begun = threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun.set()
        time.sleep(0.1)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with (
        running(slow, drain_timeout=60) as (server, _),
        socket.create_connection(server.address) as connection,
    ):
        connection.settimeout(60)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 20)
        assert begun.wait(60)
        server.stop()
        answers = receive(connection)

    assert answers.count(b"HTTP/1.1 200 OK") == 20
    assert answers.count(b"Connection: close") == 1


def delivery(number: int) -> bytes:
    body = b'{"id":"%d","type":"t"}' % number
    signed = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    return b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%b: %b\r\n\r\n%b" % (
        PATH.encode(),
        len(body),
        b"X-Nice-Webhook-Signature",
        signed["X-Nice-Webhook-Signature"].encode(),
        body,
    )


def test_pipelined_deliveries_are_stored_also_when_no_answer_is_read(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    data = b"".join(delivery(number) for number in range(150))
    with running_service(mongod_uri, database.name) as client:
        with unread(client.service.server.address, 1, data):
            eventually(lambda: database["events"].count_documents({}) == 150, timeout=30)
        with socket.create_connection(client.service.server.address) as connection:
            connection.settimeout(30)
            connection.sendall(delivery(1000))
            answer = one_answer(connection)

    assert answer.startswith(b"HTTP/1.1 200")


def test_metrics_and_health_answer_beside_senders_that_never_read_them(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    with running_service(mongod_uri, database.name) as client:
        data = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n" * 5000
        with unread(client.service.server.address, 16, data):
            time.sleep(1)
            statuses = {
                path: client.get(path).status for path in ("/healthz", "/readyz", "/metrics")
            }
            stored = client.post({"id": "1", "type": "t"}).status
            began = time.monotonic()
            client.service.stop()
            eventually(lambda: client.service.server.connections == 0, timeout=30)
            took = time.monotonic() - began

    assert statuses == {"/healthz": 200, "/readyz": 200, "/metrics": 200}
    assert stored == 200
    assert took < 15
