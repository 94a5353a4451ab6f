"""Bound what waitress reads of a request, and refuse with 4xx where it would say 5xx or break."""

from __future__ import annotations

from dataclasses import dataclass

from waitress.parser import HTTPRequestParser
from waitress.utilities import RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from consumer.server.refusal import Refusal, bad_request, too_large

# Chunk framing counts against waitress's own limit, so it gets room for it and ours is exact.
_FRAMING = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body after its chunks were joined."""

    max_body_bytes: int

    @property
    def max_wire_bytes(self) -> int:
        """What waitress may read of one body, chunk sizes and extensions included."""
        return self.max_body_bytes * _FRAMING + 65536


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """waitress's parser under the `limits` that the server puts on its adjustments."""

    def received(self, data: bytes) -> int:
        try:
            consumed: int = super().received(data)
        except ValueError:
            # A Content-Length of 5,000 digits, a URI that urlsplit refuses: not caught there.
            return self._refuse(bad_request("The request is malformed."), len(data))
        if isinstance(self.error, RequestEntityTooLarge):
            return self._refuse(too_large(self._limit), consumed)
        if self.error is not None:
            # Among them 501 for an unknown transfer coding: senders read 5xx as our fault.
            return self._refuse(_refusal(self.error), consumed)
        if self._body_bytes() > self._limit:
            return self._refuse(too_large(self._limit), consumed)
        return consumed

    def _refuse(self, refusal: Refusal, consumed: int) -> int:
        self.error = refusal
        self.completed = True
        return consumed

    @property
    def _limit(self) -> int:
        limits: Limits = self.adj.limits
        return limits.max_body_bytes

    def _body_bytes(self) -> int:
        """What the body measures: announced, or for chunks what came so far."""
        if self.chunked and self.body_rcv is not None:
            return len(self.body_rcv)
        return int(self.content_length)


def _refusal(error: object) -> Refusal:
    """Ours for waitress's: its texts quote what came, which nobody needs to read back."""
    if isinstance(error, RequestHeaderFieldsTooLarge):
        return Refusal("431 Request Header Fields Too Large", "The headers are too large.")
    return bad_request("The request is malformed, or its transfer coding is not chunked.")
