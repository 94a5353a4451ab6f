"""Bound how long several calls to MongoDB may take together."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pymongo


def within(seconds: float) -> AbstractContextManager[object]:
    """Everything asked of MongoDB inside ends by then, on the server too (maxTimeMS); a shorter
    time set inside holds, a longer one does not."""
    return pymongo.timeout(seconds)
