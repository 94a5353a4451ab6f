"""Our indexes in one table, a query that needs it for each, and their creation at the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from consumer.mongodb.client import (
    AUDIT,
    DEAD_LETTERS,
    ENDED_SESSIONS,
    EVENTS,
    FIELD_STATISTICS,
    INGEST_HISTORY,
    INGEST_QUARTERS,
    INSTANCES,
    JOB_RUNS,
    REFUSALS,
    SCHEMA_VERSIONS,
    SIGNALS,
    SIMPLE,
    Document,
    missing_index,
    serves,
)
from consumer.mongodb.deadline import unhurried
from consumer.mongodb.errors import translated

_OF_A_VIEW = 166
_UNAUTHORIZED = 13
_MOST_INDEXES = 64
_DIFFERS = "one of yours on the same fields, or of that name, stands in its place: drop that"
_REFUSALS = {
    13: "this user is not allowed to make it: grant the role readWrite on the database",
    20: "the collection is of a kind that takes none",
    67: f"MongoDB takes {_MOST_INDEXES} indexes of a collection at most: drop one of yours",
    72: "the collection is of a kind that takes none",
    85: _DIFFERS,
    86: _DIFFERS,
}


@dataclass(frozen=True, slots=True)
class Index:
    """One index of ours; `serves` names the query that needs it (an explain test proves it)."""

    collection: str
    keys: tuple[tuple[str, int], ...]
    serves: str
    # Seconds after which MongoDB deletes a document, counted from its date in the only key.
    expire_after: int | None = None
    # The documents that it holds, where not all.
    only: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """Name that MongoDB gives it unless told otherwise."""
        return "_".join(f"{key}_{direction}" for key, direction in self.keys)

    def model(self, name: str) -> IndexModel:
        options: Document = {}
        if self.expire_after is not None:
            options["expireAfterSeconds"] = self.expire_after
        if self.only is not None:
            options["partialFilterExpression"] = self.only
        return IndexModel(list(self.keys), name=name, collation=SIMPLE, **options)

    def is_served_by(self, row: Mapping[str, Any]) -> bool:
        """True for an index, as `listIndexes` has it, that does what this one is for."""
        return (
            serves({**row, "partialFilterExpression": None}, self.keys)
            and row.get("partialFilterExpression") == self.only
            and row.get("expireAfterSeconds") == self.expire_after
        )


# The backfill names this index in its commands, for MongoDB might take another one.
BY_STAMP = (
    ("_meta.subject", ASCENDING),
    ("_meta.backfilled_to", ASCENDING),
    ("schema_version", ASCENDING),
    ("processed_at", ASCENDING),
)

# Documents that lack something on purpose.
UNFILLED: Document = {"_meta.unfilled": {"$gt": 0}}

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
        "events of a span of time, counted by subject and versions; the newest of one",
    ),
    Index(
        EVENTS,
        (
            ("_meta.subject", ASCENDING),
            ("_meta.unfilled", ASCENDING),
            ("_meta.backfilled_to", ASCENDING),
            ("processed_at", ASCENDING),
        ),
        "documents of a subject that lack something on purpose, how many; to fill them after all",
        only=UNFILLED,
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
        (("resolved_by", ASCENDING),),
        "the dead letters that an event was before",
        only={"resolved_by": {"$gt": ""}},
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
        ENDED_SESSIONS,
        (("expires_at", ASCENDING),),
        "sessions that were ended and are over, deleted by MongoDB",
        expire_after=0,
    ),
    Index(
        INSTANCES,
        (("last_seen", ASCENDING),),
        "processes that went without a word, deleted by MongoDB",
        expire_after=3600,
    ),
    Index(
        REFUSALS,
        (("at", ASCENDING),),
        "senders whose last verified delivery was a month ago, deleted by MongoDB",
        expire_after=30 * 86_400,
    ),
    Index(FIELD_STATISTICS, (("_id.day", ASCENDING),), "statistics of the oldest day, to delete"),
    Index(
        SIGNALS,
        (("is_told", ASCENDING),),
        "signals that Datadog has not got yet",
        only={"is_told": False},
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


def create_indexes(db: Database[Document]) -> list[str]:
    """Create what is missing of INDEXES, nothing else; says of each that cannot be made why not.

    One of ours that took over the collation of its collection is made anew under another name, and
    only then dropped. Raises StoreUnavailable.
    """
    faults: list[str] = []
    for name in dict.fromkeys(index.collection for index in INDEXES):
        with translated(name), unhurried():  # a build reads the whole collection
            for index, rows in _missing(db[name]):
                why = _hidden(index, rows)
                try:
                    # MongoDB would say that one is there.
                    if not why:
                        _create(db[name], index, rows)
                except OperationFailure as error:
                    if error.code not in _REFUSALS:
                        raise
                    why = _REFUSALS[error.code]
                if why:
                    faults.append(f"{_missing_words(index)}: {why}")
    return faults


def missing_indexes(db: Database[Document]) -> list[tuple[str, str]]:
    """List in words those of INDEXES that existing collections lack, each with what keeps us from
    making it ("": nothing that can be seen). Raises PyMongoError."""
    names = dict.fromkeys(index.collection for index in INDEXES)
    return [
        (_missing_words(index), _in_its_way(index, rows))
        for name in names
        for index, rows in _missing(db[name])
        # There is no collection without the index of `_id`.
        if rows
    ]


def is_declared(collection: str, row: Mapping[str, Any]) -> bool:
    """True for an index on the same fields as one of INDEXES."""
    keys = tuple(row["key"].items())
    return any(index.collection == collection and index.keys == keys for index in INDEXES)


def _hidden(index: Index, rows: Sequence[Mapping[str, Any]]) -> str:
    """Advice where it is there and hidden, so that no query may use it; else ""."""
    found = (row for row in rows if index.is_served_by({**row, "hidden": False}))
    row = next(found, None)
    shell = f'db.getCollection("{index.collection}").unhideIndex'
    return f'it is hidden: `{shell}("{row["name"]}")` in mongosh' if row else ""


def _in_its_way(index: Index, rows: Sequence[Mapping[str, Any]]) -> str:
    if hidden := _hidden(index, rows):
        return hidden
    if len(rows) >= _MOST_INDEXES:
        return _REFUSALS[67]
    alike = (row for row in rows if not row.get("collation"))
    taken = any(list(row["key"].items()) == list(index.keys) for row in alike)
    return _DIFFERS if taken else ""


def _missing_words(index: Index) -> str:
    return missing_index(index.collection, index.keys)


def _missing(collection: Collection[Document]) -> list[tuple[Index, list[Mapping[str, Any]]]]:
    """The indexes of ours that a collection lacks, each with those that it has."""
    rows: list[Mapping[str, Any]] = []
    try:
        rows = list(collection.list_indexes())
    except OperationFailure as error:
        if error.code == _OF_A_VIEW:
            # It has none; `collection_faults` says what else is wrong with it.
            return []
        # Whoever may not look may still make them; those that are there stay as they are.
        if error.code != _UNAUTHORIZED:
            raise
    return [
        (index, rows)
        for index in INDEXES
        if index.collection == collection.name and not any(index.is_served_by(row) for row in rows)
    ]


def _create(
    collection: Collection[Document], index: Index, rows: Sequence[Mapping[str, Any]]
) -> None:
    old = next((row for row in rows if row["name"] == index.name), None)
    taken_over = (
        old is not None
        and index.is_served_by({**old, "collation": None})
        and bool(old.get("collation"))
        and old.get("collation") == collection.options().get("collation")
    )
    name = f"{index.name}_simple" if taken_over else index.name
    collection.create_indexes([index.model(name)])
    if taken_over:
        collection.drop_index(index.name)
