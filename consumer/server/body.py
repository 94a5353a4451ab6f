"""Keep the parts of a body as they arrive, and join them once."""

from __future__ import annotations

from io import BytesIO


class FixedBody:
    """A body of announced length, in the form that waitress asks of a receiver and of its buffer.

    waitress's own copies every part into a buffer, and the buffer into what the application reads.
    Here a body that came in one packet is never copied, any other once.
    """

    completed = False
    error = None

    def __init__(self, length: int) -> None:
        self._left = length
        self._parts: list[bytes] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def received(self, data: bytes) -> int:
        """Take a part of the stream; how much of it belongs to this body."""
        if len(data) > self._left:
            data = data[: self._left]
        self._parts.append(data)
        self._size += len(data)
        self._left -= len(data)
        self.completed = self._left == 0
        return len(data)

    def getfile(self) -> BytesIO:
        """What the application reads; whole, it gets these very bytes."""
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        return BytesIO(body)

    def getbuf(self) -> FixedBody:
        return self

    def close(self) -> None:
        self._parts = []
