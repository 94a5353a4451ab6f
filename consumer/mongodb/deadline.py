"""Bound how long calls to MongoDB may take, so that nobody waits for one that is silent."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pymongo
from pymongo.collection import Collection

from consumer.core.deadline import left, patience

# Seconds, where the client has no bound of its own.
_UNBOUND = 60.0


def within(seconds: float) -> AbstractContextManager[object]:
    """Everything asked of MongoDB inside ends by then, on the server too (maxTimeMS); a shorter
    time set inside holds, a longer one does not."""
    return patience(seconds)


def soon(collection: Collection[Any]) -> AbstractContextManager[object]:
    """For a batch: longer than other calls may take, yet a command that nobody answers still ends
    within CXONE_STORE_TIMEOUT + 10 s."""
    usual = collection.database.client.options.timeout
    return pymongo.timeout(min(2 * usual, usual + 8) if usual else _UNBOUND)


def unhurried() -> AbstractContextManager[object]:
    """For what may have to look at everything there is: it goes on while MongoDB is in touch. The
    driver looks at each server every few seconds, drops what waits for one that does not answer,
    and looks for another as long as usual. What `within` set outside holds."""
    return nullcontext() if left() >= 0 else pymongo.timeout(0)
