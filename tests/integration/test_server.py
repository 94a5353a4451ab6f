"""The waitress process through real sockets: bounds, deadlines, a stop that answers everything."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from consumer.errors import SetupError
from consumer.server.server import Server, ServerOptions

LIMIT = 1000


def echo_length(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    answer = str(len(body)).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


@contextmanager
def running(
    app: Callable[..., Iterable[bytes]] = echo_length, **options: Any
) -> Iterator[tuple[Server, threading.Thread]]:
    given = {"threads": 4, "max_body_bytes": LIMIT, "drain_timeout": 10.0, **options}
    server = Server(app, ServerOptions(listen="127.0.0.1:0", **given))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server, thread
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


def exchange(server: Server, data: bytes, timeout: float = 5.0) -> bytes:
    """Everything the server says to `data` until it closes or falls silent."""
    with socket.create_connection(server.address, timeout=timeout) as connection:
        connection.sendall(data)
        received = b""
        while True:
            try:
                part = connection.recv(65536)
            except (TimeoutError, ConnectionResetError):
                return received
            if not part:
                return received
            received += part


def chunked(body: bytes, size: int) -> bytes:
    parts = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(("length", "status"), [(LIMIT - 1, 200), (LIMIT, 200), (LIMIT + 1, 413)])
@pytest.mark.parametrize("chunk", [0, 1, 7, 5000])
def test_body_limit_is_exact_with_length_and_with_chunks(
    length: int, status: int, chunk: int
) -> None:
    body = b"x" * length
    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
    if chunk:
        request = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, chunk)
    else:
        request = head + b"Content-Length: %d\r\n\r\n" % length + body

    with running() as (server, _):
        answer = exchange(server, request)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    if status == 200:
        assert answer.endswith(b"\r\n\r\n%d" % length)


def test_announced_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    with running() as (server, _):
        answer = exchange(server, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000,
        b"POST / HTTP/1.1\r\nContent-Length: -1",
        b"POST / HTTP/1.1\r\nContent-Length: 5, 5",
        b"GET http://[ HTTP/1.1\r\nHost: h",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000,
        b"NOT HTTP AT ALL",
        b"\x00\x01\x02\xff",
        b"get / HTTP/1.1\r\nHost: h",
    ],
)
def test_what_waitress_cannot_parse_is_answered_4xx_and_never_5xx(head: bytes) -> None:
    with running() as (server, _):
        answer = exchange(server, head + b"\r\n\r\n", timeout=2)
        after = exchange(server, b"GET / HTTP/1.0\r\n\r\n")

    assert answer == b"" or answer.split()[1].startswith(b"4"), answer[:100]
    assert after.startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize(
    "head", [b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000, b"GET http://[ HTTP/1.1"]
)
def test_what_breaks_the_parser_of_waitress_is_answered_400(head: bytes) -> None:
    with running() as (server, _):
        answer = exchange(server, head + b"\r\nHost: h\r\n\r\n", timeout=2)

    assert answer.startswith(b"HTTP/1.1 400 ") or answer.startswith(b"HTTP/1.0 400 ")


def test_dripping_request_is_closed_at_its_deadline() -> None:
    with running(request_timeout=1.0) as (server, _):
        started = time.monotonic()
        with socket.create_connection(server.address, timeout=10) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 900\r\n\r\n")
            closed = False
            while not closed and time.monotonic() - started < 8:
                time.sleep(0.2)
                try:
                    connection.sendall(b"x")
                    connection.settimeout(0.01)
                    closed = connection.recv(1) == b""
                except TimeoutError:
                    continue
                except OSError:
                    closed = True
        took = time.monotonic() - started

    assert closed
    assert 1.0 <= took < 5


def test_stop_answers_every_request_that_was_accepted() -> None:
    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(0.05)
        return echo_length(environ, start_response)

    statuses: list[int] = []
    sent = threading.Barrier(41)

    def post(address: tuple[str, int]) -> None:
        connection = http.client.HTTPConnection(*address, timeout=15)
        connection.request("POST", "/", b"x" * 10)
        sent.wait(10)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        connection.close()

    with running(slow, threads=2) as (server, thread):
        posts = [threading.Thread(target=post, args=(server.address,)) for _ in range(40)]
        for one in posts:
            one.start()
        sent.wait(10)
        server.stop()
        for one in posts:
            one.join(20)
        thread.join(10)
        assert not thread.is_alive()

    assert statuses == [200] * 40


def test_stopped_server_takes_no_new_connection() -> None:
    with running() as (server, thread):
        server.stop()
        thread.join(10)

        with pytest.raises(OSError):
            socket.create_connection(server.address, timeout=2)


def test_kept_alive_connection_is_told_to_close_while_stopping() -> None:
    with running() as (server, _):
        connection = http.client.HTTPConnection(*server.address, timeout=5)
        connection.request("POST", "/", b"a")
        assert connection.getresponse().read() == b"1"
        server.stop()
        time.sleep(0.1)
        connection.request("POST", "/", b"ab")
        response = connection.getresponse()
        assert (response.read(), response.getheader("Connection")) == (b"2", "close")
        connection.close()


def test_address_in_use_is_a_setup_error_that_says_what_to_do() -> None:
    with running() as (server, _):
        host, port = server.address

        with pytest.raises(SetupError, match="CXONE_LISTEN"):
            Server(echo_length, ServerOptions(f"{host}:{port}", threads=1, max_body_bytes=1))


def test_requests_beyond_the_waiting_ones_are_answered_503_at_once() -> None:
    release = threading.Event()

    def stuck(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        release.wait(10)
        return echo_length(environ, start_response)

    request = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
    with running(stuck, threads=2, max_waiting=3) as (server, _):
        waiting = [socket.create_connection(server.address, timeout=10) for _ in range(5)]
        for connection in waiting:
            connection.sendall(request)
        time.sleep(0.3)

        refused = exchange(server, request, timeout=2)
        release.set()
        answers = [connection.recv(100) for connection in waiting]
        for connection in waiting:
            connection.close()

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1\r\n" in refused
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
