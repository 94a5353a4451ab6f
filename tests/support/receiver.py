"""A receiver that answers what a test wants, and `send` and `sign` as a user calls them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import typer
from typer.testing import CliRunner, Result

from consumer.cli.send import send
from consumer.cli.sign import sign
from consumer.core.delivery import Delivery, Headers
from consumer.ingest.signature import Secret, SignatureScheme, verify
from tests.support.service import SECRET

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
