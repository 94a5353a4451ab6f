"""Speak to a server in raw bytes, as senders do that keep no rule."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from consumer.http.server.server import Server, ServerOptions

Address = tuple[str, int]


def echo_length(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application that answers how many bytes the body has."""
    body = environ["wsgi.input"].read()
    answer = str(len(body)).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


@contextmanager
def running(
    app: Callable[..., Iterable[bytes]] = echo_length, **options: Any
) -> Iterator[tuple[Server, threading.Thread]]:
    """The server alone, in a thread."""
    given = {"threads": 4, "max_body_bytes": 1000, "drain_timeout": 10.0, **options}
    server = Server(app, ServerOptions(listen="127.0.0.1:0", **given))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server, thread
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


def exchange(address: Address, data: bytes, timeout: float = 5.0) -> bytes:
    """Everything the server says to `data` until it closes or falls silent."""
    with socket.create_connection(address, timeout=timeout) as connection:
        # Refused before it was sent whole: the answer may be there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        return receive(connection)


def receive(connection: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            part = connection.recv(65536)
        except (TimeoutError, ConnectionResetError):
            return received
        if not part:
            return received
        received += part


def one_answer(connection: socket.socket) -> bytes:
    """The next answer on a connection that stays open: head and body; what came when it closed."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        if end and len(body) >= (int(length[1]) if length else 0):
            return received
        part = connection.recv(65536)
        if not part:
            return received
        received += part


def chunked(body: bytes, size: int) -> bytes:
    """The body in chunks of `size` bytes."""
    parts = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def status(answer: bytes) -> int:
    """The status of the first answer; 0 when the connection was closed without one."""
    return int(answer.split(b" ", 2)[1]) if answer else 0
