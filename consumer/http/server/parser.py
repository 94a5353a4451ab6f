"""Bound what waitress reads of a request, and refuse with 4xx where it would say 5xx or break."""

from __future__ import annotations

import re
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from consumer.http.server.bodies import ChunkedBody, FixedBody
from consumer.http.server.heads import Start, plain_head
from consumer.http.server.responses import Refusal, bad_request, too_large

# Chunk framing counts against waitress's own limit, so it gets room for it and ours is exact: for
# chunks of six bytes and more. Smaller ones cost more time than an honest sender ever asks for.
_FRAMING = 2
_TRANSFER_CODINGS = re.compile(rb"\r\ntransfer-encoding[ \t]*:([^\r\n]*)")


def max_wire_bytes(max_body_bytes: int) -> int:
    """Bytes that waitress may read of one body, chunk sizes and extensions included."""
    return max_body_bytes * _FRAMING + 65536


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """waitress's parser, with the limit `max_body_bytes` that the server puts on its adjustments:
    bytes of a body after its chunks were joined. Nothing behind it is given a larger one; the
    webhook has the same bound again, for servers that have none.

    It refuses whatever a proxy could frame in another way than we do, for there a second request
    could hide (RFC 9112, section 11.2).
    """

    # waitress names it when a client hangs up, but sets it only for a first line that it
    # understands; without one the connection would never be given up.
    path = ""

    body_rcv: Any
    completed: bool
    error: Any

    def received(self, data: bytes) -> int:
        try:
            consumed: int = super().received(data)
        except ValueError:
            # A Content-Length of 5,000 digits, a URI that urlsplit refuses: not caught there.
            return self.refuse(bad_request("The request is malformed."), len(data))
        if isinstance(self.error, RequestEntityTooLarge):
            return self.refuse(too_large(self._limit), len(data))
        if self.error is not None:
            # Among them 501 for an unknown transfer coding: senders read 5xx as our fault.
            return self.refuse(_refusal(self.error), len(data))
        if self._announced() > self._limit:
            return self.refuse(too_large(self._limit), len(data))
        if self.completed:
            # Asked to go on, a request that is whole would be taken for one that is not, and the
            # headers of the next one for its own.
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Raises ParsingError for what is malformed or ambiguous, ValueError for what broke it."""
        plain = plain_head(header_plus)
        if plain is not None:
            self._take(*plain)
            return
        if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
            raise ParsingError("folded header")
        super().parse_header(header_plus)
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("unknown version of HTTP")
        lower = header_plus.lower()
        if b"\r\ntransfer-encoding" in lower:
            self._check_coding(_TRANSFER_CODINGS.findall(lower))
        if self.chunked:
            self.body_rcv = ChunkedBody(self.body_rcv.getbuf())
        elif self.body_rcv is not None:
            self.body_rcv = FixedBody(self.content_length)

    def _take(self, start: Start, headers: dict[str, str], length: int) -> None:
        """Set what waitress would set for a plain head."""
        self.__dict__.update(start)
        self.headers = headers
        self.url_scheme = self.adj.url_scheme
        if headers.get("CONNECTION", "").lower() == "close":
            self.connection_close = True
        self.content_length = length
        if length > 0:
            self.body_rcv = FixedBody(length)

    def refuse(self, refusal: Refusal, consumed: int = 0) -> int:
        """End the request with this answer, whatever of it is still to come."""
        self.close()
        self.body_rcv = None
        self.error = refusal
        self.completed = True
        self.expect_continue = False
        return consumed

    @property
    def held_bytes(self) -> int:
        """Bytes of the body in memory."""
        return 0 if self.body_rcv is None else int(self.body_rcv.__len__())

    def _check_coding(self, codings: list[bytes]) -> None:
        if len(codings) != 1 or codings[0].strip(b" \t") != b"chunked":
            raise ParsingError("transfer coding")
        if self.version != "1.1" or "CONTENT_LENGTH" in self.headers:
            raise ParsingError("transfer coding where a length counts")

    @property
    def _limit(self) -> int:
        return int(self.adj.max_body_bytes)

    def _announced(self) -> int:
        """Bytes that the body will measure: its length, or for chunks what is known so far."""
        body = self.body_rcv
        return body.announced if isinstance(body, ChunkedBody) else int(self.content_length)


def _refusal(error: object) -> Refusal:
    """Ours for waitress's: its texts quote what came, which nobody needs to read back."""
    if isinstance(error, RequestHeaderFieldsTooLarge):
        return Refusal("431 Request Header Fields Too Large", "The headers are too large.")
    return bad_request("The request is malformed, or its transfer coding is not chunked.")
