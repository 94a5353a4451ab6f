"""Bound how long a thread waits: for MongoDB, and for other threads that wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

import pymongo

_ends: ContextVar[float | None] = ContextVar("ends", default=None)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Within the block this thread waits no longer than that, over all it asks of MongoDB, and of
    what heeds `left`."""
    token = _ends.set(monotonic() + seconds)
    try:
        with pymongo.timeout(seconds):
            yield
    finally:
        _ends.reset(token)


def left() -> float:
    """The timeout for a lock: seconds that are left, or -1, for ever, where nothing bounds them."""
    ends = _ends.get()
    return -1 if ends is None else max(0.0, ends - monotonic())
