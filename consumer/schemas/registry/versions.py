"""Read and insert schema versions in MongoDB, durable or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Literal

from bson.errors import BSONError
from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from consumer.core.deadline import had_a_fair_share
from consumer.core.errors import StoreError
from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated
from consumer.schemas.model import (
    Alias,
    Change,
    SchemaVersion,
    alias_of,
    change_of,
    from_document,
    is_by_hand,
)


@dataclass(frozen=True, slots=True)
class SchemaSummary:
    """A subject's newest version in figures; `fields` counts the live ones."""

    subject: str
    version: int
    fields: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """Changes of one version of a subject, and when it was made (UTC)."""

    subject: str
    version: int
    created_at: datetime
    changes: tuple[Change, ...]


Inserted = Literal["ours", "taken", "unknown"]

_CHUNK = 500
# A VersionChanges is read from these: no fields.
_CHANGES = {"changes": 1, "created_at": 1}
# Whoever can write to MongoDB can put any document there: those of ours have this.
_OURS: Document = {
    "created_at": {"$type": "date"},
    "_id.subject": {"$type": "string"},
    "_id.version": {"$type": "number"},
    "changes": {"$type": "array"},
}
# More than any number, and less than what is none.
_BEYOND = 2**63 - 1
# After these the insert may still have happened.
_UNKNOWN_OUTCOME = (ConnectionFailure, ExecutionTimeout, WriteConcernError)


class SchemaVersions:
    """The collection `schema_versions`, read from the primary what a majority holds, written to a
    majority's journals: whatever the URI says. Every method raises StoreUnavailable.

    One version document is found by its `_id` {subject, version}, whose order is that of numbers
    within a subject; no further index is needed.
    """

    def __init__(self, collection: Collection[Document], write_timeout: float = 5.0) -> None:
        self._name = collection.name
        self._versions = collection.with_options(
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern("majority", j=True, wtimeout=int(write_timeout * 1000)),
        )

    def head(self, subject: str, after: int = 0) -> SchemaVersion | None:
        """The newest version of a subject; None also where it is not beyond number `after`."""
        beyond = _of(subject, after)
        with translated(self._name):
            document = self._versions.find_one(beyond, sort=[("_id", DESCENDING)])
        return from_document(document) if document else None

    def one(self, subject: str, number: int) -> SchemaVersion | None:
        """A version by its number."""
        with translated(self._name):
            document = self._versions.find_one({"_id": _id(subject, number)})
        return from_document(document) if document else None

    def changes_between(self, subject: str, after: int, upto: int) -> Iterator[VersionChanges]:
        """Changes of the versions beyond `after`, up to and with `upto`; reads no fields."""
        numbers = {"_id": {"$gt": _id(subject, after), "$lte": _id(subject, upto)}}
        with translated(self._name):
            for document in self._versions.find(numbers, _CHANGES).sort("_id"):
                yield _changes_of(document)

    def latest(self, limit: int) -> list[VersionChanges]:
        """Changes of the newest versions of all subjects, the last one first."""
        with translated(self._name):
            found = self._versions.find(_OURS, _CHANGES).sort("created_at", DESCENDING)
            return list(map(_changes_of, found.limit(limit)))

    def created_at(self, subject: str, number: int) -> datetime | None:
        """The time at which a version was made (UTC)."""
        with translated(self._name):
            document = self._versions.find_one({"_id": _id(subject, number)}, {"created_at": 1})
        return document["created_at"] if document else None

    def brought(self, subject: str, after: datetime, limit: int) -> int:
        """Count the versions made later than `after` that hold what events brought, up to `limit`;
        those that people made do not count."""
        made = {**_of(subject), "created_at": {"$gt": after}}
        with translated(self._name):
            newest = self._versions.find(made, _CHANGES).sort("_id", DESCENDING)
            by_events = (each for each in map(_changes_of, newest) if not is_by_hand(each.changes))
            return sum(1 for _ in islice(by_events, limit))

    def history(self, subject: str) -> Iterator[SchemaVersion]:
        """All versions of a subject, oldest first."""
        with translated(self._name):
            for document in self._versions.find(_of(subject)).sort("_id"):
                yield from_document(document)

    def subjects(self) -> dict[str, int]:
        """Every subject with the number of its newest version; reads the index alone."""
        newest: dict[str, int] = {}
        with translated(self._name):
            for document in self._versions.find({}, {"_id": 1}).sort("_id").hint("_id_"):
                match document["_id"]:
                    case {"subject": str(subject), "version": int(number)}:
                        newest[subject] = number
        return newest

    def summaries(self) -> list[SchemaSummary]:
        """Every subject with its newest version, by name; MongoDB counts, so that no field is sent
        (an expression as projection: MongoDB 4.4 and newer)."""
        heads = [_id(subject, number) for subject, number in self.subjects().items()]
        live = {"$filter": {"input": "$fields", "cond": {"$not": ["$$this.absorbed"]}}}
        figures = {"created_at": 1, "fields": {"$size": live}}
        found = []
        for chunk in _chunks(heads):
            with translated(self._name):
                found += list(self._versions.find({"_id": {"$in": chunk}}, figures).sort("_id"))
        return [
            SchemaSummary(
                each["_id"]["subject"], each["_id"]["version"], each["fields"], each["created_at"]
            )
            for each in found
        ]

    def aliases(self) -> dict[str, tuple[Alias, ...]]:
        """The aliases of every subject that has any, as its newest version knows them."""
        heads = [_id(subject, number) for subject, number in self.subjects().items()]
        found: dict[str, tuple[Alias, ...]] = {}
        for chunk in _chunks(heads):
            wanted = {"_id": {"$in": chunk}, "aliases.0": {"$exists": True}}
            with translated(self._name):
                for document in self._versions.find(wanted, {"aliases": 1}):
                    found[document["_id"]["subject"]] = tuple(map(alias_of, document["aliases"]))
        return found

    def advanced(self, known: Mapping[str, int]) -> Iterator[str]:
        """The subjects that have a version beyond the known number: since numbers have no gaps, it
        is enough to look for the next one."""
        following = [_id(subject, number + 1) for subject, number in known.items()]
        for chunk in _chunks(following):
            with translated(self._name):
                for document in self._versions.find({"_id": {"$in": chunk}}, {"_id": 1}):
                    yield document["_id"]["subject"]

    def rewrite(self, subject: str, change: Callable[[SchemaVersion], Document]) -> int:
        """Set in each version of a subject what `change` says, by dotted path; how many said
        something. For the erasing of names alone: nothing else in a version ever changes."""
        rewritten = 0
        with translated(self._name):
            for document in self._versions.find(_of(subject)).sort("_id"):
                if changed := change(from_document(document)):
                    self._versions.update_one({"_id": document["_id"]}, {"$set": changed})
                    rewritten += 1
        return rewritten

    def insert(self, version: SchemaVersion) -> Inserted:
        """Insert a version: `ours` once it is durable, `taken` when another has its number,
        `unknown` when that cannot be said: read the head again and compare. Raises StoreError for
        one that BSON cannot hold: no waiting helps that."""
        began = monotonic()
        with translated(self._name):
            try:
                self._versions.insert_one(version.to_document())
            except DuplicateKeyError:
                return "taken"
            except _UNKNOWN_OUTCOME:
                # Whoever has no time left for another look must know that this call had it.
                had_a_fair_share(monotonic() - began)
                return "unknown"
            except BSONError as error:
                raise StoreError(
                    f"BSON cannot hold version {version.number} ({type(error).__name__})"
                ) from error
        return "ours"


def _changes_of(document: Document) -> VersionChanges:
    return VersionChanges(
        subject=document["_id"]["subject"],
        version=int(document["_id"]["version"]),
        created_at=document["created_at"],
        changes=tuple(map(change_of, document["changes"])),
    )


def _id(subject: str, number: int) -> Document:
    return {"subject": subject, "version": number}


def _of(subject: str, after: int = 0) -> Document:
    return {
        "_id": {
            "$gt": _id(subject, after),
            "$lt": _id(subject, _BEYOND),
        }
    }


def _chunks(ids: list[Document]) -> Iterable[list[Document]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
