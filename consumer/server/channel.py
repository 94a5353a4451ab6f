"""A connection that knows since when its request is being received."""

from __future__ import annotations

from time import monotonic

from waitress.channel import HTTPChannel

from consumer.server.parser import RequestParser


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection with a deadline.

    waitress closes idle connections only, and a dripping client is never idle: so the time of a
    request's first byte is kept, and the server closes what is older than the deadline.
    """

    parser_class = RequestParser

    receiving_since: float | None = None

    def received(self, data: bytes) -> bool:
        before = self.request
        taken = bool(super().received(data))
        if self.request is None:
            self.receiving_since = None
        elif self.request is not before:
            self.receiving_since = monotonic()
        if self.server.draining:
            self.close_after_answers()
        return taken

    def is_busy(self) -> bool:
        """Whether a request is being received, worked on, or its answer sent."""
        return bool(self.requests or self.request is not None or self.total_outbufs_len)

    def is_overdue(self, deadline: float, now: float) -> bool:
        """Whether one request has been arriving for more than `deadline` seconds."""
        return self.receiving_since is not None and now - self.receiving_since > deadline

    def close_after_answers(self) -> None:
        """Have the answer to the last waiting request say `Connection: close`."""
        with self.requests_lock:
            if self.requests:
                self.requests[-1].headers["CONNECTION"] = "close"
