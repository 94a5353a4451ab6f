"""Our indexes in one table, a query that needs it for each, and their creation at the start."""

from __future__ import annotations

from dataclasses import dataclass

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database

from consumer.storage.mongo import (
    AUDIT,
    DEAD_LETTERS,
    EVENTS,
    INGEST_HISTORY,
    INGEST_QUARTERS,
    INSTANCES,
    JOB_RUNS,
    SCHEMA_VERSIONS,
    Document,
)
from consumer.storage.translate import translated


@dataclass(frozen=True, slots=True)
class Index:
    """One index of ours; `serves` names the query that needs it (an explain test proves it)."""

    collection: str
    keys: tuple[tuple[str, int], ...]
    serves: str
    # Seconds after which MongoDB deletes a document, counted from its date in the only key.
    expire_after: int | None = None

    def model(self) -> IndexModel:
        if self.expire_after is None:
            return IndexModel(list(self.keys))
        return IndexModel(list(self.keys), expireAfterSeconds=self.expire_after)


# The backfill names this index in its commands, for MongoDB might take another one.
BY_STAMP = (
    ("_meta.subject", ASCENDING),
    ("_meta.backfilled_to", ASCENDING),
    ("schema_version", ASCENDING),
    ("processed_at", ASCENDING),
)

INDEXES = (
    Index(
        EVENTS,
        BY_STAMP,
        "documents of a subject that lack fields of newer versions, how many; events by subject",
    ),
    Index(
        EVENTS,
        (
            ("processed_at", ASCENDING),
            ("_meta.subject", ASCENDING),
            ("schema_version", ASCENDING),
            ("_meta.exhibited_version", ASCENDING),
        ),
        "events of a span of time, counted by subject and versions",
    ),
    Index(
        EVENTS,
        (("_meta.key", ASCENDING), ("processed_at", ASCENDING)),
        "events by their own id, newest last: to look one up, and to erase a person's",
    ),
    Index(
        DEAD_LETTERS,
        (
            ("reason", ASCENDING),
            ("status", ASCENDING),
            ("last_seen", ASCENDING),
            ("timestamp", ASCENDING),
        ),
        "dead letters by reason and status, newest last; how many there are, and the oldest",
    ),
    Index(
        DEAD_LETTERS,
        (("next_retry_at", ASCENDING), ("blocked_by", ASCENDING)),
        "dead letters that the sweep may try now, the longest due first",
    ),
    Index(
        DEAD_LETTERS,
        (
            ("blocked_by", ASCENDING),
            ("status", ASCENDING),
            ("event_type", ASCENDING),
            ("tried_with", ASCENDING),
            ("blocked_at", ASCENDING),
        ),
        "dead letters that wait for the same change",
    ),
    Index(
        DEAD_LETTERS,
        (("expires_at", ASCENDING),),
        "resolved and discarded dead letters whose time is over",
        expire_after=0,
    ),
    Index(
        JOB_RUNS,
        (("series", ASCENDING), ("started_at", DESCENDING)),
        "the last run of each job, for every process where each runs it",
    ),
    Index(JOB_RUNS, (("expires_at", ASCENDING),), "old runs, deleted by MongoDB", expire_after=0),
    Index(SCHEMA_VERSIONS, (("created_at", DESCENDING),), "the newest versions of all subjects"),
    Index(AUDIT, (("at", DESCENDING),), "what people did, the last deed first"),
    Index(
        INSTANCES,
        (("last_seen", ASCENDING),),
        "processes that went without a word, deleted by MongoDB",
        expire_after=3600,
    ),
    Index(
        INGEST_HISTORY,
        (("at", ASCENDING),),
        "deliveries of the last hours by minute; those of a week ago, deleted by MongoDB",
        # A week shows what is usual at this hour and day; a process writes 1,440 small ones a day.
        expire_after=7 * 86_400,
    ),
    Index(
        INGEST_QUARTERS,
        (("at", ASCENDING),),
        "deliveries of the last days by quarter of an hour; those of last week, deleted by MongoDB",
        # A day more than the longest span, whose first slot begins up to two hours before it.
        expire_after=8 * 86_400,
    ),
)


def create_indexes(db: Database[Document]) -> None:
    """Create what is missing of INDEXES, nothing else; raises StoreUnavailable."""
    for index in INDEXES:
        with translated(index.collection):
            db[index.collection].create_indexes([index.model()])
