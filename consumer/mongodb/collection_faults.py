"""Find what is wrong with our collections: their kind, their collation, documents not ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pymongo
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from consumer.core.errors import StoreUnavailable
from consumer.mongodb import stored_format
from consumer.mongodb.client import (
    ADOPTION_COUNTS,
    ADOPTION_TOTALS,
    AUDIT,
    COLLECTIONS,
    DATABASE_FORMAT,
    DEAD_LETTERS,
    EVENTS,
    INGEST_HISTORY,
    INGEST_QUARTERS,
    INSTANCES,
    JOB_RUNS,
    LEASES,
    READERS,
    REJECTED_CHANGES,
    SCHEMA_VERSIONS,
    SIGNALS,
    Document,
    Inspection,
    OurDatabase,
)
from consumer.mongodb.indexes import missing_indexes

# Without these as they should be no delivery can be stored.
_NEEDED = (EVENTS, SCHEMA_VERSIONS, DEAD_LETTERS, DATABASE_FORMAT)
_UNAUTHORIZED = 13
_KINDS = {"timeseries": "a time-series collection", "view": "a view"}

# Every type of an `_id` but an object: an index has their ranges, where with $not it is read whole.
_NO_OBJECT = {
    "$type": [
        *("number", "string", "binData", "objectId", "bool", "date", "null", "timestamp"),
        *("minKey", "maxKey", "javascript", "javascriptWithScope", "symbol", "dbPointer"),
    ]
}
# By collection, what documents of ours never are; each is answered by an index or by few documents.
_FOREIGN: dict[str, Document] = {
    EVENTS: {"_meta.subject": None},
    SCHEMA_VERSIONS: {
        "$nor": [
            {
                "_id.subject": {"$type": "string"},
                "_id.version": {"$type": "number"},
                "fields": {"$type": "array"},
                "changes": {"$type": "array"},
                "created_at": {"$type": "date"},
            }
        ]
    },
    DEAD_LETTERS: {"reason": None},
    ADOPTION_COUNTS: {"_id": _NO_OBJECT},
    ADOPTION_TOTALS: {"_id": _NO_OBJECT},
    LEASES: {"fence": None},
    JOB_RUNS: {"series": None},
    INSTANCES: {"last_seen": None},
    AUDIT: {"at": None},
    INGEST_HISTORY: {"at": None},
    INGEST_QUARTERS: {"at": None},
    READERS: {"reader": None},
    SIGNALS: {"_id": _NO_OBJECT},
    REJECTED_CHANGES: {"then": None},
}
_SHOWN = 3
_LONGEST = 60
# Seconds for the documents of one collection: nothing waits for what they say.
_TIMEOUT = 2.0


def inspect(db: OurDatabase) -> Inspection:
    """Find what keeps us from writing, and what is wrong with collections; raises PyMongoError.

    Two reads, and a third where the database is not there yet.
    """
    infos = _infos(db)
    faults = _kind_faults(infos)
    bad = [faults[name] for name in _NEEDED if name in faults]
    if not infos and (other := name_in_other_case(db)):
        bad.append(
            f'there is a database "{other}", and MongoDB takes no "{db.name}" beside it: set'
            f" MONGODB_DATABASE={other}"
        )
    block = stored_format.too_new(db)
    return Inspection(block or (StoreUnavailable("; ".join(bad)) if bad else None), faults)


def name_in_other_case(db: Database[Document]) -> str | None:
    """The database that is there in place of ours, whose name differs in upper and lower case only;
    None too where we may not look."""
    try:
        there = db.client.list_database_names()
    except OperationFailure:
        return None
    others = (name for name in there if name.lower() == db.name.lower())
    return None if db.name in there else next(others, None)


def kind_faults(db: Database[Document]) -> dict[str, str]:
    """By collection, why it is not one that we can rely on; raises PyMongoError."""
    return _kind_faults(_infos(db))


def _infos(db: Database[Document]) -> list[Mapping[str, Any]]:
    """Our collections as `listCollections` has them; none where we may not look."""
    try:
        return list(db.list_collections(filter={"name": {"$in": list(COLLECTIONS)}}))
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        return []


def _kind_faults(infos: list[Mapping[str, Any]]) -> dict[str, str]:
    faults = ((info["name"], kind_fault(info)) for info in infos)
    return {name: fault for name, fault in faults if fault}


def kind_fault(info: Mapping[str, Any]) -> str | None:
    """Fault in the kind of a collection, as `listCollections` has it, and what to do."""
    name, kind = info["name"], info.get("type", "collection")
    options = info.get("options", {})
    elsewhere = "rename or drop it, or set another MONGODB_DATABASE"
    if kind != "collection":
        return f"{name} is {_KINDS.get(kind, kind)}, not a plain collection: {elsewhere}"
    if options.get("capped"):
        return (
            f"{name} is capped: MongoDB drops its oldest documents: copy it into a plain collection"
            " of that name"
        )
    if options.get("collation") and name != EVENTS:
        return (
            f"{name} was made with a collation, under which different names are one: copy it into a"
            " plain collection of that name"
        )
    return None


def foreign_documents(db: Database[Document]) -> Iterator[str]:
    """Of each collection that has documents which we never write, a sentence that names some by
    `_id`; as far as that is found out soon. Raises PyMongoError where MongoDB is away."""
    for name, others in _FOREIGN.items():
        try:
            with pymongo.timeout(_TIMEOUT):
                rows = list(db[name].find(others, {"_id": 1}).limit(_SHOWN + 1))
        except OperationFailure:
            continue
        except PyMongoError as error:
            if not error.timeout:
                raise
            continue
        if rows:
            named = ", ".join(repr(row["_id"])[:_LONGEST] for row in rows[:_SHOWN])
            more = ", …" if len(rows) > _SHOWN else ""
            yield f"documents in {name} that are not ours are left alone: {named}{more}"


def all_faults(db: Database[Document]) -> list[str]:
    """Everything that is wrong with our collections, in sentences; raises PyMongoError."""
    kinds = kind_faults(db)
    # Where no delivery can be stored no index is made either.
    missing = [] if kinds.keys() & set(_NEEDED) else missing_indexes(db)
    indexes = [": ".join(filter(None, each)) for each in missing]
    return [*kinds.values(), *indexes, *foreign_documents(db)]
