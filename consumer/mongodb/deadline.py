"""Bound how long calls to MongoDB may take, so that nobody waits for one that is silent.

A delivery has a `deadline` alone, for most ask MongoDB nothing: one of them stores a batch for all.
So the driver is told of it only where it is asked, `in_time`: telling it takes 4 us of the 64 that
a delivery of 1 KB takes in all. Everybody else, who asks in any case, has a `within`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pymongo
from pymongo.collection import Collection

from consumer.core.deadline import deadline, in_force, remaining

# Seconds, where the client has no bound of its own.
_UNBOUND = 60.0
# Seconds, where none are left: 0 would be none at all to the driver.
_LEAST = 1e-6
_AS_IT_IS = nullcontext()


class within(deadline):  # noqa: N801 - used as a statement: with within(0.25)
    """Everything asked of MongoDB inside ends by then, on the server too (maxTimeMS), and so does
    every wait for threads that ask it; a shorter time set inside holds, a longer one does not."""

    __slots__ = ("_driver",)

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._driver = pymongo.timeout(seconds)

    def __enter__(self) -> None:
        super().__enter__()
        self._driver.__enter__()

    def __exit__(self, *raised: Any) -> None:
        try:
            self._driver.__exit__(*raised)
        finally:
            super().__exit__(*raised)


def in_time() -> AbstractContextManager[object]:
    """For what is asked of MongoDB: it ends by the `deadline` in force, on the server too."""
    seconds = remaining()
    if seconds < 0 or isinstance(in_force(), within):
        return _AS_IT_IS
    return pymongo.timeout(seconds or _LEAST)


def soon(collection: Collection[Any]) -> AbstractContextManager[object]:
    """For a batch: longer than other calls may take, yet a command that nobody answers still ends
    within CXONE_STORE_TIMEOUT + 10 s."""
    usual = collection.database.client.options.timeout
    return pymongo.timeout(min(2 * usual, usual + 8) if usual else _UNBOUND)


def unhurried() -> AbstractContextManager[object]:
    """For calls that may have to look at everything there is: they go on while MongoDB is in touch.
    The driver looks at each server every few seconds, drops what waits for one that does not
    answer, and looks for another as long as usual. What `within` set outside holds."""
    return nullcontext() if remaining() >= 0 else pymongo.timeout(0)
