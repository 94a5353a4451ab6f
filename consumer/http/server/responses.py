"""Write answers: the application's in one piece under a cheap head, and the server's refusals.

A refusal is small JSON, sent before the application sees the request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from waitress.task import WSGITask
from waitress.utilities import build_http_date

# Headers that waitress's own way sets.
_SET_BY_WAITRESS = frozenset({"date", "server", "connection"})


class Task(WSGITask):  # type: ignore[misc]
    """waitress's task, which sends head and body apart, and sorts and spells the head anew each
    time. A whole answer on a connection that stays open goes a shorter way; all others go that."""

    def write(self, data: bytes) -> None:
        if not self._is_plain(data):
            super().write(data)
            return
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(self._head() + data)

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
            and self._is_plain_head()
        )

    def _is_plain_head(self) -> bool:
        names = {name.lower() for name, _ in self.response_headers}
        return "content-length" in names and _SET_BY_WAITRESS.isdisjoint(names)

    def _head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status}"]
        lines += [f"{_spelled(name)}: {value}" for name, value in self.response_headers]
        ident = self.channel.server.adj.ident
        lines += (f"Date: {_date(int(self.start_time))}", f"Server: {ident}", "", "")
        return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=64)
def _spelled(name: str) -> str:
    """A header's name as waitress spells it; the application has few."""
    return "-".join(part.capitalize() for part in name.split("-"))


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return str(build_http_date(second))


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
