"""Count stored events by subject, for as long as somebody is willing to wait."""

from __future__ import annotations

from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from consumer.storage.translate import translated, unavailable


def documents_by_subject(
    events: Collection[dict[str, Any]], seconds: float
) -> dict[str, int] | None:
    """How many events each subject has; None when counting takes longer than `seconds`.

    An index that begins with `_meta.subject` is enough for it. Raises StoreUnavailable.
    """
    pipeline: list[dict[str, Any]] = [
        # Without this the index is not used; every event of ours has a subject.
        {"$match": {"_meta.subject": {"$gte": ""}}},
        {"$group": {"_id": "$_meta.subject", "count": {"$sum": 1}}},
    ]
    try:
        with pymongo.timeout(seconds):
            return {row["_id"]: row["count"] for row in events.aggregate(pipeline)}
    except PyMongoError as error:
        if error.timeout and not isinstance(error, ServerSelectionTimeoutError):
            return None
        raise unavailable(error, events.name) from error


def estimated_documents(events: Collection[dict[str, Any]]) -> int:
    """How many events there are as MongoDB's bookkeeping says; raises StoreUnavailable."""
    with translated(events.name):
        return events.estimated_document_count()
