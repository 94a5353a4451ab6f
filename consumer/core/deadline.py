"""Bound how long this thread waits for others, in locks and queues that heed the deadline."""

from __future__ import annotations

from contextvars import ContextVar
from time import monotonic
from typing import Any

_current: ContextVar[deadline | None] = ContextVar("current", default=None)
# A call that had less of a block's time than this share shows nothing by its time-out.
_FAIR_SHARE = 0.5


class deadline:  # noqa: N801 - used as a statement: with deadline(0.25)
    """Within the block this thread waits no longer than that many seconds, over all that heeds
    `remaining`."""

    # Not of contextlib's making: this is entered for every delivery, and costs a third of that.
    __slots__ = ("_token", "ends", "longest", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.longest = 0.0

    def __enter__(self) -> None:
        self._token = _current.set(self)
        self.ends = monotonic() + self.seconds

    def __exit__(self, *raised: Any) -> None:
        _current.reset(self._token)


def in_force() -> deadline | None:
    """The deadline of the innermost block that this thread is in."""
    return _current.get()


def remaining() -> float:
    """The timeout for a lock: seconds that remain, or -1, for ever, where nothing bounds them."""
    current = _current.get()
    return -1 if current is None else max(0.0, current.ends - monotonic())


def had_a_fair_share(seconds: float) -> bool:
    """Tell whether a call that timed out after so many seconds, or one before it in this block, had
    enough of the block's time: else it was we who left it none."""
    current = _current.get()
    if current is None:
        return True
    current.longest = max(current.longest, seconds)
    return current.longest >= current.seconds * _FAIR_SHARE
