"""Requests that a proxy could frame in another way are refused: nobody hides one in another."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from consumer.http.server.server import Server
from tests.support.senders import (
    chunked,
    echo_length,
    exchange,
    one_answer,
    receive,
    running,
    status,
)

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


class Recorder:
    """Answers the length of each body, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes | None]] = []

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        self.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_X")))
        return echo_length(environ, start_response)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def server(recorder: Recorder) -> Iterator[Server]:
    with running(recorder) as (running_server, _):
        yield running_server


POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


AMBIGUOUS = [
    POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 44\r\nContent-Length: 44\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: +4\r\n\r\nabcd" + SMUGGLED,
    POST + b"Content-Length: 0x4\r\n\r\nabcd" + SMUGGLED,
    POST + b"Content-Length: 4_0\r\n\r\nabcd" + SMUGGLED,
    POST + b"Content-Length: 4;\r\n\r\nabcd" + SMUGGLED,
    POST + b"Content-Length:\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length : 4\r\n\r\nabcd" + SMUGGLED,
    POST + b"Content-Length\t: 4\r\n\r\nabcd" + SMUGGLED,
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding:\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + SMUGGLED,
    POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"X: y\r\n\tz\r\n\r\n" + SMUGGLED,
    POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"X: \x00\r\n\r\n" + SMUGGLED,
    POST + b"X\x00: y\r\n\r\n" + SMUGGLED,
    POST + b": y\r\n\r\n" + SMUGGLED,
    POST + b"no colon\r\n\r\n" + SMUGGLED,
    POST + b"(x): y\r\n\r\n" + SMUGGLED,
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    b"POST / HTTP/1.2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    b"POST / HTTP/3.0\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    b"POST / HTTP/11\r\n\r\n" + SMUGGLED,
    b"POST / http/1.1\r\n\r\n" + SMUGGLED,
    b"POST / HTTP/1.1 \x00\r\n\r\n" + SMUGGLED,
    b"POST  / HTTP/1.1\r\n\r\n" + SMUGGLED,
    b"POST\t/\tHTTP/1.1\r\n\r\n" + SMUGGLED,
    b"POST /\r\n\r\n" + SMUGGLED,
    b"GET / HTTP/1.1\nHost: h\n\n" + SMUGGLED,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n",
    CHUNKED + b"5\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"5\n\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"5\r\nhello\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"5\r\nhello0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"5;a\x00\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"5;a=\x7f\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"g\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"0\r\nX y\r\n\r\n" + SMUGGLED,
    CHUNKED + b"0\r\nX: y\nZ: z\r\n\r\n" + SMUGGLED,
]


@pytest.mark.parametrize("request_", AMBIGUOUS, ids=range(len(AMBIGUOUS)))
def test_ambiguous_request_is_400_and_nothing_behind_it_is_served(
    server: Server, recorder: Recorder, request_: bytes
) -> None:
    answer = exchange(server.address, request_, timeout=2)

    assert status(answer) == 400, answer[:200]
    assert answer.count(b"HTTP/1.") == 1
    assert recorder.seen == []
    assert exchange(server.address, b"GET /after HTTP/1.0\r\n\r\n").endswith(b"0")


@pytest.mark.parametrize(
    "size",
    [b"ffffffffffffffff", b"7fffffff", b"3e9", b"9" * 3000],
    ids=["64 bits", "31 bits", "limit + 1", "3,000 digits"],
)
def test_chunk_announced_over_the_limit_is_refused_before_it_is_sent(
    server: Server, size: bytes
) -> None:
    answer = exchange(server.address, CHUNKED + size + b"\r\nx", timeout=2)

    assert status(answer) in (400, 413)


@pytest.mark.parametrize(
    "endless",
    [CHUNKED + b"5;" + b"x" * 200_000, CHUNKED + b"0\r\n" + b"X: y\r\n" * 40_000],
    ids=["extension", "trailers"],
)
def test_endless_framing_is_refused_after_some_kilobytes(server: Server, endless: bytes) -> None:
    assert status(exchange(server.address, endless, timeout=2)) == 400


def test_long_line_between_chunks_does_not_occupy_the_loop() -> None:
    line = b"1;" + b"x" * 3_000_000
    with running(max_body_bytes=2 << 20) as (server, _):
        started = time.process_time()
        answer = exchange(server.address, CHUNKED + line, timeout=5)

    assert status(answer) == 400
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "body",
    [
        chunked(b"x" * 20, 7),
        b"14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n",
        b'A;name="v; w"\r\n' + b"x" * 10 + b"\r\na ;b=c\r\n" + b"x" * 10 + b"\r\n000\r\n\r\n",
        chunked(b"x" * 20, 20)[:-2] + b"X-Checksum: 1\r\nExpires: 0\r\n\r\n",
    ],
    ids=["short chunks", "one chunk", "extensions and upper case", "trailers"],
)
@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_honest_chunks_are_joined_however_they_are_cut_on_the_way(
    server: Server, body: bytes, step: int
) -> None:
    whole = CHUNKED + body
    with socket.create_connection(server.address, timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(whole), step):
            connection.sendall(whole[start : start + step])
        answer = one_answer(connection)

        assert answer.endswith(b"\r\n\r\n20"), answer
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert receive(connection).endswith(b"\r\n\r\n0")


@pytest.mark.parametrize(
    "request_",
    [POST, POST + b"Content-Length: 0\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n"],
    ids=["no length", "length 0", "GET"],
)
def test_request_without_body_that_expects_to_go_on_is_answered_at_once(
    server: Server, recorder: Recorder, request_: bytes
) -> None:
    expecting = request_ + b"Expect: 100-continue\r\nX: mine\r\n\r\n"
    with socket.create_connection(server.address, timeout=3) as connection:
        connection.sendall(expecting)
        first = one_answer(connection)
        connection.sendall(b"GET /second HTTP/1.0\r\n\r\n")
        receive(connection)

    assert status(first) == 200
    # waitress gave the headers of a request like this to the next one.
    assert [seen[1:] for seen in recorder.seen] == [("/", "mine"), ("/second", None)]


def test_body_follows_when_the_server_says_to_go_on(server: Server) -> None:
    head = POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(server.address, timeout=3) as connection:
        connection.sendall(head)
        assert one_answer(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert one_answer(connection).endswith(b"\r\n\r\n3")


@pytest.mark.parametrize("framing", [b"Content-Length: 1001", b"Content-Length: " + b"9" * 5000])
def test_body_too_large_is_refused_instead_of_asked_for(server: Server, framing: bytes) -> None:
    answer = exchange(
        server.address, POST + framing + b"\r\nExpect: 100-continue\r\n\r\n", timeout=3
    )

    assert status(answer) in (400, 413)


@pytest.mark.parametrize("chunk", [0, 4096])
def test_answer_to_a_body_too_large_reaches_a_sender_that_sends_all_of_it_first(chunk: int) -> None:
    body = b"x" * ((1 << 20) + 1)
    head = POST + (b"" if chunk else b"Content-Length: %d\r\n\r\n" % len(body))
    if chunk:
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        body = chunked(body, chunk)
    with (
        running(max_body_bytes=1 << 20) as (server, _),
        socket.create_connection(server.address, timeout=5) as connection,
    ):
        connection.sendall(head)
        for start in range(0, len(body), 65536):
            time.sleep(0.01)
            connection.sendall(body[start : start + 65536])
        answer = receive(connection)

    assert status(answer) == 413


def test_refused_sender_that_goes_on_for_ever_is_closed() -> None:
    started = time.monotonic()
    with (
        running() as (server, _),
        socket.create_connection(server.address, timeout=5) as connection,
    ):
        connection.sendall(b"nonsense\r\n\r\n")
        with pytest.raises(OSError):
            while time.monotonic() - started < 10:
                connection.sendall(b"x" * 1000)
                time.sleep(0.02)

    assert time.monotonic() - started < 8


def test_pipelined_requests_are_answered_in_order(server: Server, recorder: Recorder) -> None:
    requests = b"".join(b"POST /%d HTTP/1.1\r\nContent-Length: 1\r\n\r\nx" % n for n in range(200))

    with socket.create_connection(server.address, timeout=5) as connection:
        connection.sendall(requests + b"GET /end HTTP/1.0\r\n\r\n")
        answers = receive(connection)

    assert answers.count(b"HTTP/1.1 200 OK") == 200
    assert [path for _, path, _ in recorder.seen] == [*(f"/{n}" for n in range(200)), "/end"]


def test_body_shorter_than_its_length_is_never_served(server: Server, recorder: Recorder) -> None:
    with socket.create_connection(server.address, timeout=5) as connection:
        connection.sendall(POST + b"Content-Length: 10\r\n\r\nshort")
        connection.shutdown(socket.SHUT_WR)

        assert receive(connection) == b""
    assert recorder.seen == []


def test_half_closed_connection_gets_its_answer(server: Server) -> None:
    with socket.create_connection(server.address, timeout=5) as connection:
        connection.sendall(POST + b"Content-Length: 2\r\n\r\nab")
        connection.shutdown(socket.SHUT_WR)

        assert receive(connection).endswith(b"\r\n\r\n2")
