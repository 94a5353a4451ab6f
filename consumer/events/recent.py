"""Read the newest events, tell how they were sent, and count the stored ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import pymongo
from bson import CodecOptions, decode
from bson.errors import InvalidBSON
from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from consumer.core.paths import RESERVED
from consumer.events.documents import as_stored
from consumer.events.take_out import take_out_pipeline
from consumer.mongodb.client import RAW, Document
from consumer.mongodb.errors import translated, unavailable
from consumer.schemas.defaults import unfill
from consumer.schemas.model import SchemaVersion
from consumer.schemas.origin import Leaving
from consumer.schemas.policy import Defaults
from consumer.schemas.provenance import filled_in

# Documents that come in one message.
_BATCH = 100
_DECODED: CodecOptions[Document] = CodecOptions(tz_aware=True)


class RecentEvents:
    """The `events` collection; raises StoreUnavailable."""

    def __init__(self, events: Collection[Document]) -> None:
        self._events = events.with_options(codec_options=RAW)

    def newest(
        self, start: datetime, end: datetime, limit: int, most_bytes: int
    ) -> Iterator[Document]:
        """The newest documents of all subjects with `start` <= processed_at < `end`, the last one
        first: at most `limit` of them, and so many bytes or one. One that nobody can decode is
        passed over."""
        size = 0
        with translated(self._events.name):
            found = self._events.find(processed(start, end), batch_size=_BATCH)
            for raw in found.sort("processed_at", DESCENDING).limit(limit):
                size += len(raw.raw)
                if size > max(most_bytes, len(raw.raw)):
                    return
                try:
                    document = decode(raw.raw, _DECODED)
                except InvalidBSON:
                    continue
                yield document


def processed(start: datetime, end: datetime) -> Document:
    """Events of a span of time, in the order of an index: a test explains it."""
    return {"processed_at": {"$gte": start, "$lt": end}}


def as_sent(document: Document, head: SchemaVersion, defaults: Defaults) -> Document:
    """The payload of a stored event as it was sent, given a version not older than its own; the
    document stays as it is."""
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    if filled := list(filled_in(document, head, defaults)):
        payload = copy.deepcopy(payload)
        unfill(payload, filled, head)
    for each in document.get("_meta", {}).get("shadowed", ()):
        payload[each["name"]] = each["value"]
    return payload


def documents_by_subject(events: Collection[Document], seconds: float) -> dict[str, int] | None:
    """Number of events by subject; None when counting takes longer than `seconds`.

    An index that begins with `_meta.subject` is enough for it. Raises StoreUnavailable.
    """
    pipeline: list[Document] = [
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
    events: Collection[Document], subject: str, fields: Sequence[Leaving], seconds: float
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


def estimated_documents(events: Collection[Document]) -> int:
    """Number of events by MongoDB's own bookkeeping; raises StoreUnavailable."""
    with translated(events.name):
        return events.estimated_document_count()
