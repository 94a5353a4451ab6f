"""Bound the memory that bodies take while they arrive and wait, and answers that nobody takes."""

from __future__ import annotations

import threading
from collections.abc import Iterable

# Bytes up to which a body is not counted: the number of connections bounds those, and counting
# would cost every request.
SMALL_BODY = 64 * 1024


class Room:
    """Bytes by the connection that holds them; `limit` for all together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[object, int] = {}
        self._total = 0
        self._lock = threading.Lock()

    def hold(self, holder: object, size: int) -> bool:
        """Note what `holder` holds now; False when that is more than there is room for."""
        with self._lock:
            self._total += size - self._held.get(holder, 0)
            self._held[holder] = size
            return self._total <= self._limit

    def free(self, holder: object) -> None:
        """Note that `holder` holds nothing any more."""
        if holder in self._held:
            with self._lock:
                self._total -= self._held.pop(holder, 0)

    def holders(self) -> Iterable[object]:
        with self._lock:
            return tuple(self._held)
