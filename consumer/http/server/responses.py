"""Write answers: the application's in one piece under a cheap head, and the server's refusals.

A refusal is small JSON, sent before the application sees the request.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.task import WSGITask
from waitress.utilities import build_http_date

# Headers that waitress's own way sets.
_SET_BY_WAITRESS = frozenset({"date", "server", "connection"})
# Headers that have no HTTP_ before their key in a WSGI environ (PEP 3333).
_WITHOUT_PREFIX = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE"})


class Task(WSGITask):  # type: ignore[misc]
    """waitress's task, which sends head and body apart, and sorts and spells the head anew each
    time. A whole answer on a connection that stays open goes a shorter way; all others go that."""

    environ: dict[str, Any] | None = None

    def get_environment(self) -> dict[str, Any]:
        """As waitress's: by a copy of what all requests of a listener have alike."""
        if self.environ is None:
            request, channel = self.request, self.channel
            server = channel.server
            path = request.path
            address, port = channel.addr[:2]
            self.environ = {
                **_environ(server.effective_port, server.server_name, server.adj.ident),
                "REMOTE_ADDR": address,
                "REMOTE_HOST": address,
                "REMOTE_PORT": str(port),
                "REQUEST_METHOD": request.command.upper(),
                "SERVER_PROTOCOL": f"HTTP/{self.version}",
                "PATH_INFO": f"/{path.lstrip('/')}" if path[:1] == "/" else path,
                "REQUEST_URI": request.request_uri,
                "QUERY_STRING": request.query,
                "wsgi.url_scheme": request.url_scheme,
                "wsgi.errors": sys.stderr,
                "wsgi.input": request.get_body_stream(),
                "waitress.client_disconnected": channel.check_client_disconnected,
                **{
                    key if key in _WITHOUT_PREFIX else f"HTTP_{key}": value
                    for key, value in request.headers.items()
                },
            }
        return self.environ

    def write(self, data: bytes) -> None:
        head = self._plain_head() if self._is_plain(data) else None
        if head is None:
            super().write(data)
            return
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(head + data)

    def _is_plain(self, data: bytes) -> bool:
        """True when `data` is all of an answer to a plain request of HTTP/1.1."""
        return (
            self.complete
            and not self.wrote_header
            and not self.close_on_finish
            and self.version == "1.1"
            and bool(data)
            and self.content_length == len(data)
            and self.status[:3] not in ("204", "304")
            and "CONNECTION" not in self.request.headers
        )

    def _plain_head(self) -> bytes | None:
        ident = self.channel.server.adj.ident
        return _plain_head(self.status, tuple(self.response_headers), ident, int(self.start_time))


# Nearly all answers of one second are alike.
@lru_cache(maxsize=16)
def _plain_head(
    status: str, headers: tuple[tuple[str, str], ...], ident: str, second: int
) -> bytes | None:
    """The head of an answer; None for one that waitress must write."""
    names = {name.lower() for name, _ in headers}
    if "content-length" not in names or not _SET_BY_WAITRESS.isdisjoint(names):
        return None
    lines = [f"HTTP/1.1 {status}"]
    for name, value in headers:
        spelled = "-".join(part.capitalize() for part in name.split("-"))
        lines.append(f"{spelled}: {value}")
    lines += (f"Date: {build_http_date(second)}", f"Server: {ident}", "", "")
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=16)
def _environ(port: int, name: str, ident: str) -> Mapping[str, Any]:
    """The part of a WSGI environ (PEP 3333) that is the same for all requests of a listener."""
    return {
        "SERVER_PORT": str(port),
        "SERVER_NAME": name,
        "SERVER_SOFTWARE": ident,
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": ReadOnlyFileBasedBuffer,
        "wsgi.input_terminated": True,
    }


Response = tuple[str, list[tuple[str, str]], bytes]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error in the form that waitress asks of its own (`to_response`)."""

    status: str
    description: str
    retry_after: int | None = None

    def to_response(self, ident: str | None = None) -> Response:
        """Status line, headers and body; the connection is closed after it."""
        del ident
        headers = [("Content-Type", "application/json"), ("Connection", "close")]
        if self.retry_after is not None:
            headers.append(("Retry-After", str(self.retry_after)))
        body = {"title": self.status, "description": self.description}
        return self.status, headers, json.dumps(body).encode()


def bad_request(description: str) -> Refusal:
    return Refusal("400 Bad Request", description)


def too_large(limit: int) -> Refusal:
    return Refusal("413 Content Too Large", f"At most {limit} bytes are taken.")


OVERLOADED = Refusal("503 Service Unavailable", "Too many requests are waiting.", retry_after=1)
