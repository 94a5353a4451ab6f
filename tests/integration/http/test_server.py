"""The waitress process through real sockets: bounds, deadlines, a stop that answers everything."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import pytest

from consumer.core.errors import SetupError
from consumer.http.server.server import Server, ServerOptions
from tests.support.senders import chunked, echo_length, exchange, one_answer, running
from tests.support.service import eventually

LIMIT = 1000


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
        answer = exchange(server.address, request)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    if status == 200:
        assert answer.endswith(b"\r\n\r\n%d" % length)


def test_announced_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    with running() as (server, _):
        answer = exchange(
            server.address, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n"
        )

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
        answer = exchange(server.address, head + b"\r\n\r\n", timeout=2)
        after = exchange(server.address, b"GET / HTTP/1.0\r\n\r\n")

    assert answer == b"" or answer.split()[1].startswith(b"4"), answer[:100]
    assert after.startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize(
    "head", [b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000, b"GET http://[ HTTP/1.1"]
)
def test_what_breaks_the_parser_of_waitress_is_answered_400(head: bytes) -> None:
    with running() as (server, _):
        answer = exchange(server.address, head + b"\r\nHost: h\r\n\r\n", timeout=2)

    assert answer.startswith(b"HTTP/1.1 400 ") or answer.startswith(b"HTTP/1.0 400 ")


def test_dripping_request_is_closed_at_its_deadline() -> None:
    with running(request_timeout=1.0) as (server, _):
        started = time.monotonic()
        with socket.create_connection(server.address, timeout=10) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 900\r\n\r\n")
            closed = False
            while not closed and time.monotonic() - started < 40:
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
    assert 1.0 <= took < 20


@pytest.mark.slow
def test_an_idle_connection_stays_open_for_its_own_time() -> None:
    with running(request_timeout=1, idle_timeout=4) as (server, _):
        connection = http.client.HTTPConnection(*server.address, timeout=30)
        connection.request("POST", "/", b"a")
        connection.getresponse().read()
        began = time.monotonic()
        time.sleep(2.5)
        connection.request("POST", "/", b"ab")
        second = connection.getresponse().read()
        while server.connections and time.monotonic() - began < 60:
            time.sleep(0.1)
        idle = time.monotonic() - began - 2.5
        connection.close()

    assert second == b"2"
    assert 3.5 <= idle < 30


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
        release.wait(60)
        return echo_length(environ, start_response)

    request = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
    with running(stuck, threads=2, max_waiting=3) as (server, _):
        waiting = [socket.create_connection(server.address, timeout=60) for _ in range(5)]
        for connection in waiting:
            connection.sendall(request)
        # The server takes them in, however busy the machine is.
        eventually(lambda: len(server._workers.queue) == 3)

        refused = exchange(server.address, request, timeout=20)
        release.set()
        answers = [connection.recv(100) for connection in waiting]
        for connection in waiting:
            connection.close()

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1\r\n" in refused
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def connect(server: Server, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(server.address, timeout=10)
    connection.sendall(data)
    return connection


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def test_beyond_the_limit_of_connections_the_idlest_are_closed() -> None:
    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
    with running(max_connections=20, request_timeout=60) as (server, _), ExitStack() as stack:
        served = stack.enter_context(connect(server, post))
        assert one_answer(served).endswith(b"1")
        silent = [stack.enter_context(connect(server)) for _ in range(10)]
        dripping = [stack.enter_context(connect(server, post[:20])) for _ in range(5)]
        time.sleep(0.2)

        later = [stack.enter_context(connect(server, post)) for _ in range(14)]
        answers = [one_answer(connection) for connection in later]

        assert all(answer.endswith(b"1") for answer in answers)
        time.sleep(0.2)
        assert [is_open(one) for one in silent] == [False] * 10
        assert [is_open(one) for one in dripping] == [True] * 5
        assert is_open(served)


def test_the_limit_of_connections_is_one_for_all_addresses() -> None:
    listen = "127.0.0.1:0 127.0.0.1:0"
    with running(listen=listen, max_connections=20) as (server, _), ExitStack() as stack:
        ports = [int(listener.effective_port) for listener in server._listeners]
        for port in ports * 15:
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        last = exchange(server.address, b"GET / HTTP/1.0\r\n\r\n")

        assert last.endswith(b"0")
        eventually(lambda: server.connections <= 20)


def test_new_senders_are_served_while_idle_connections_are_opened_without_end() -> None:
    stop = threading.Event()

    def flood(address: tuple[str, int]) -> None:
        opened: list[socket.socket] = []
        while not stop.is_set():
            opened.append(socket.create_connection(address, timeout=10))
            time.sleep(0.002)
        for connection in opened:
            connection.close()

    with running(max_connections=200, request_timeout=60) as (server, _):
        flooding = threading.Thread(target=flood, args=(server.address,))
        flooding.start()
        time.sleep(1)
        answers = [exchange(server.address, b"GET / HTTP/1.0\r\n\r\n") for _ in range(20)]
        stop.set()
        flooding.join()

    assert all(answer.endswith(b"0") for answer in answers)


def big(length: int, sent: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length + b"x" * sent


def test_large_bodies_share_a_bound_and_the_slowest_are_answered_503() -> None:
    mib = 1 << 20
    options: dict[str, Any] = {"max_body_bytes": mib, "max_waiting_bytes": 4 * mib}
    with running(**options, request_timeout=60) as (server, _), ExitStack() as stack:
        stalled = []
        for _ in range(4):
            stalled.append(stack.enter_context(connect(server, big(mib, mib - 1))))
            # A tick of the clock of Windows: of two that came within one either may have to go.
            time.sleep(0.1)

        small = exchange(server.address, b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
        large = [
            exchange(server.address, big(mib, mib).replace(b"1.1", b"1.0", 1)) for _ in range(8)
        ]

        assert small.endswith(b"\r\n\r\n1")
        assert all(answer.endswith(b"\r\n\r\n1048576") for answer in large)
        # Those that were answered have made room again: one of the stalled had to go.
        first = one_answer(stalled[0])
        assert first.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in first
        assert [is_open(one) for one in stalled[1:]] == [True] * 3
        for one in stalled[1:]:
            one.sendall(b"x")
        assert all(one_answer(one).endswith(b"\r\n\r\n1048576") for one in stalled[1:])


def test_large_bodies_that_wait_for_a_thread_count_until_they_are_answered() -> None:
    release = threading.Event()

    def stuck(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        release.wait(10)
        return echo_length(environ, start_response)

    mib = 1 << 20
    options: dict[str, Any] = {"max_body_bytes": mib, "max_waiting_bytes": 4 * mib, "threads": 1}
    with running(stuck, **options) as (server, _), ExitStack() as stack:
        waiting = [stack.enter_context(connect(server, big(mib, mib))) for _ in range(4)]
        time.sleep(0.5)
        refused = exchange(server.address, big(mib, mib), timeout=2)
        release.set()
        answers = [one_answer(connection) for connection in waiting]
        for connection in waiting:
            connection.close()
        after = exchange(server.address, big(mib, mib).replace(b"1.1", b"1.0", 1))

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert after.startswith(b"HTTP/1.0 200")


def test_kept_alive_connections_hold_no_room_once_they_are_answered() -> None:
    mib = 1 << 20
    options: dict[str, Any] = {"max_body_bytes": mib, "max_waiting_bytes": 4 * mib}
    with running(**options) as (server, _), ExitStack() as stack:
        kept = [stack.enter_context(connect(server)) for _ in range(6)]
        answers = []
        for connection in kept:
            connection.sendall(big(mib, mib))
            answers.append(one_answer(connection))

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_request_behind_a_slow_one_is_not_overdue_while_it_cannot_be_read() -> None:
    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(3)
        return echo_length(environ, start_response)

    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
    with (
        running(slow, request_timeout=1) as (server, _),
        connect(server, post + post[:10]) as connection,
    ):
        answer = one_answer(connection)

    assert answer.endswith(b"\r\n\r\n1")


@pytest.mark.parametrize(("stuck", "free"), [("/other", "/delivery"), ("/delivery", "/other")])
def test_deliveries_and_all_else_never_wait_for_each_other(stuck: str, free: str) -> None:
    let_go = threading.Event()

    def app(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == stuck:
            let_go.wait(60)
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def ask(address: tuple[str, int], path: str) -> bytes:
        return exchange(address, b"GET %s HTTP/1.0\r\n\r\n" % path.encode(), timeout=60)

    with running(app, threads=2, delivery_paths=frozenset({"/delivery"})) as (server, _):
        askers = [threading.Thread(target=ask, args=(server.address, stuck)) for _ in range(8)]
        for asker in askers:
            asker.start()
        time.sleep(0.2)
        began = time.monotonic()
        answer = ask(server.address, free)
        took = time.monotonic() - began
        let_go.set()
        for asker in askers:
            asker.join(20)

    assert answer.startswith(b"HTTP/1.0 200")
    assert took < 30
