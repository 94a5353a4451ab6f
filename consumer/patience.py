"""Bound how long a thread waits: for MongoDB, and for other threads that wait for it."""

from __future__ import annotations

from contextvars import ContextVar
from time import monotonic
from typing import Any

import pymongo

_ends: ContextVar[float | None] = ContextVar("ends", default=None)


class patience:  # noqa: N801 - used as a statement: with patience(0.25)
    """Within the block this thread waits no longer than that many seconds, over all it asks of
    MongoDB, and of what heeds `left`."""

    # Not of contextlib's making: this is entered for every delivery, and costs a third of that.
    __slots__ = ("_driver", "_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._driver = pymongo.timeout(seconds)

    def __enter__(self) -> None:
        self._token = _ends.set(monotonic() + self._seconds)
        self._driver.__enter__()

    def __exit__(self, *raised: Any) -> None:
        try:
            self._driver.__exit__(*raised)
        finally:
            _ends.reset(self._token)


def left() -> float:
    """The timeout for a lock: seconds that are left, or -1, for ever, where nothing bounds them."""
    ends = _ends.get()
    return -1 if ends is None else max(0.0, ends - monotonic())
