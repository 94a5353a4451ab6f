"""Join a body from the parts that arrive: of announced length, or in chunks, read strictly."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

from waitress.buffers import OverflowableBuffer
from waitress.utilities import BadRequest

# What is lenient here, the proxy in front of us may read in another way: then a second request can
# hide in the first (request smuggling). waitress takes a bare line feed after a size, and keeps
# lines of any length, searching them anew with every packet.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_MAX_LINE = 4096
_MAX_TRAILERS = 8192


class FixedBody:
    """A body of announced length, in the form that waitress asks of a receiver and of its buffer.

    waitress's own copies every part into a buffer, and the buffer into what the application reads.
    Here a body that came in one packet is never copied, any other once.
    """

    completed = False
    error = None

    def __init__(self, length: int) -> None:
        self._remaining = length
        self._parts: list[bytes] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def received(self, data: bytes) -> int:
        """Take a part of the stream; return how much of it belongs to this body."""
        if len(data) > self._remaining:
            data = data[: self._remaining]
        self._parts.append(data)
        self._size += len(data)
        self._remaining -= len(data)
        self.completed = self._remaining == 0
        return len(data)

    def getfile(self) -> BytesIO:
        """The file that the application reads; a body of one part is these very bytes."""
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        return BytesIO(body)

    def getbuf(self) -> FixedBody:
        return self

    def close(self) -> None:
        self._parts = []


class ChunkedBody:
    """RFC 9112, section 7.1, in the form that waitress asks of a receiver."""

    completed = False
    error: BadRequest | None = None

    def __init__(self, buffer: OverflowableBuffer) -> None:
        self._buffer = buffer
        self._remaining = 0
        self._line = b""
        self._trailers = 0
        self._take: Callable[[bytes], None] = self._size

    def __len__(self) -> int:
        return int(self._buffer.__len__())

    @property
    def announced(self) -> int:
        """Bytes that came, and those that the chunk under way will bring."""
        return len(self) + self._remaining

    def received(self, data: bytes) -> int:
        """Take a part of the stream; return how much of it belongs to this body."""
        at = 0
        while at < len(data) and not self.completed and self.error is None:
            if self._remaining:
                part = data[at : at + self._remaining]
                self._buffer.append(part)
                self._remaining -= len(part)
                at += len(part)
            else:
                at = self._line_from(data, at)
        return at

    def getfile(self) -> Any:
        return self._buffer.getfile()

    def getbuf(self) -> OverflowableBuffer:
        return self._buffer

    def _line_from(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        self._line += data[at : end or len(data)]
        if len(self._line) > _MAX_LINE:
            self._refuse("A line between chunks is too long.")
        elif end:
            line, self._line = self._line, b""
            if line.endswith(b"\r\n") and b"\r" not in line[:-2]:
                self._take(line[:-2])
            else:
                self._refuse("A line between chunks does not end in CR LF.")
        return end or len(data)

    def _size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            self._refuse("A chunk has no size.")
            return
        self._remaining = int(found[1], 16)
        self._take = self._end if self._remaining else self._trailer

    def _end(self, line: bytes) -> None:
        if line:
            self._refuse("A chunk is longer than its size.")
        self._take = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if not line:
            self.completed = True
        elif self._trailers > _MAX_TRAILERS or not _TRAILER.fullmatch(line):
            self._refuse("The trailers are too long, or none.")

    def _refuse(self, why: str) -> None:
        self.error = BadRequest(why)
