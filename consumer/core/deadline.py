"""Bound how long a thread waits: for MongoDB, and for other threads that wait for it."""

from __future__ import annotations

from contextvars import ContextVar
from time import monotonic
from typing import Any

import pymongo

_current: ContextVar[patience | None] = ContextVar("current", default=None)
# A call to MongoDB that had less of a block's time than this share shows nothing by its time-out.
_FAIR_SHARE = 0.5


class patience:  # noqa: N801 - used as a statement: with patience(0.25)
    """Within the block this thread waits no longer than that many seconds, over all it asks of
    MongoDB, and of what heeds `left`."""

    # Not of contextlib's making: this is entered for every delivery, and costs a third of that.
    __slots__ = ("_driver", "_token", "ends", "longest", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.longest = 0.0
        self._driver = pymongo.timeout(seconds)

    def __enter__(self) -> None:
        self._token = _current.set(self)
        self.ends = monotonic() + self.seconds
        self._driver.__enter__()

    def __exit__(self, *raised: Any) -> None:
        try:
            self._driver.__exit__(*raised)
        finally:
            _current.reset(self._token)


def left() -> float:
    """The timeout for a lock: seconds that are left, or -1, for ever, where nothing bounds them."""
    current = _current.get()
    return -1 if current is None else max(0.0, current.ends - monotonic())


def had_a_fair_share(seconds: float) -> bool:
    """Whether a call to MongoDB that timed out after so many seconds, or one before it in this
    block, had enough of the block's time: else it was we who left it none."""
    current = _current.get()
    if current is None:
        return True
    current.longest = max(current.longest, seconds)
    return current.longest >= current.seconds * _FAIR_SHARE
