"""Count stored events by subject, for as long as somebody is willing to wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from consumer.schema.origin import Leaving
from consumer.storage.documents import as_stored
from consumer.storage.take_out_pipeline import take_out_pipeline
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


def filled_documents(
    events: Collection[dict[str, Any]], subject: str, fields: Sequence[Leaving], seconds: float
) -> tuple[int, int] | None:
    """Count the documents of a subject that hold something filled in at these fields, and those of
    them in which it will stay; None when counting takes longer, or they are too many fields."""
    plan = take_out_pipeline([replace(each, values=as_stored(each.values)) for each in fields])
    if plan is None:
        return None
    try:
        with pymongo.timeout(seconds):
            of_subject = {"_meta.subject": subject}
            held = events.count_documents({**of_subject, **plan.held})
            return held, events.count_documents({**of_subject, **plan.left}) if held else 0
    except PyMongoError as error:
        if error.timeout and not isinstance(error, ServerSelectionTimeoutError):
            return None
        raise unavailable(error, events.name) from error


def estimated_documents(events: Collection[dict[str, Any]]) -> int:
    """How many events there are as MongoDB's bookkeeping says; raises StoreUnavailable."""
    with translated(events.name):
        return events.estimated_document_count()
