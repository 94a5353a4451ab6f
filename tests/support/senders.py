"""HTTP from either end: receivers that answer what a test wants, `send` and `sign` as a user calls
them, and senders that keep no rule.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

import typer
from typer.testing import CliRunner, Result

from consumer.cli.send import send
from consumer.cli.sign import sign
from consumer.core.delivery import Delivery, Headers
from consumer.http.server.server import Server, ServerOptions
from consumer.ingest.signature import Secret, SignatureScheme, verify
from tests.support.service import SECRET

Address = tuple[str, int]

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
SCHEME = SignatureScheme()
Reply = tuple[int, bytes]


@dataclass
class Receiver:
    """An HTTP server that keeps what it gets and answers what `answer` says."""

    url: str = ""
    answer: Callable[[bytes], Reply] = lambda body: (200, b'{"status":"processed"}')
    got: list[Delivery] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    connections: set[Any] = field(default_factory=set)

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.got]


@contextmanager
def receiving(receiver: Receiver) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Two small writes without this wait for the other side's delayed acknowledgement.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = Headers(dict(self.headers.items()))
            receiver.got.append(Delivery("d", body, headers, datetime.now(timezone.utc)))
            receiver.paths.add(self.path)
            receiver.connections.add(self.client_address)
            status, data = receiver.answer(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # A client that ended, as some tests want it to.

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ran(*arguments: str, stdin: bytes = b"") -> Result:
    app = typer.Typer()
    app.command("send")(send)
    app.command("sign")(sign)
    # As `main` does: what a command returns is its exit status.
    result = CliRunner().invoke(app, arguments, input=stdin, standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def sent(*arguments: str, stdin: bytes = b"") -> tuple[object, dict[str, Any]]:
    """The exit status and figures of `send`."""
    result = ran("send", *arguments, "--json", stdin=stdin)
    return result.return_value, json.loads(result.stdout)


def counts(figures: dict[str, Any]) -> dict[tuple[int | None, str], int]:
    return {(a["status"], a["word"]): a["count"] for a in figures["answers"]}


def is_signed(delivery: Delivery, scheme: SignatureScheme = SCHEME) -> bool:
    return verify(delivery, scheme, [Secret("current", SECRET.encode())], NOW).secret == "current"


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
    usual = {"listen": "127.0.0.1:0", "threads": 4, "max_body_bytes": 1000, "drain_timeout": 10.0}
    server = Server(app, ServerOptions(**{**usual, **options}))
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


@contextmanager
def web_server(
    answer: Callable[[Mapping[str, str]], tuple[int, dict[str, str], bytes]],
    forward: Callable[[bytes, dict[str, str]], tuple[int, dict[str, str], bytes]] | None = None,
) -> Iterator[int]:
    """An HTTP server on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = dict(self.headers.items())
            self._send(*(forward(body, headers) if forward else answer(headers)))

        def do_GET(self) -> None:
            self._send(*answer(dict(self.headers.items())))

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
