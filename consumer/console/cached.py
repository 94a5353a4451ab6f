"""Read once for all who look at about the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """What `read` gave at most `seconds` ago; one thread reads at a time, the others wait for it.

    A failed read is not remembered: it raises in each thread that asks.
    """

    def __init__(
        self, read: Callable[[], T], seconds: float, now: Callable[[], float] = monotonic
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._now = now
        self._reading = threading.Lock()
        self._found: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._reading:
            now = self._now()
            if self._found is None or now - self._found[0] >= self._seconds:
                self._found = now, self._read()
            return self._found[1]
