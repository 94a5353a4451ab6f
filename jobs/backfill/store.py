"""Find the documents that a backfill must fill, and have MongoDB fill them, each once.

Those that refuse their filling are stamped without what the refusal blames, else without any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, UpdateOne
from pymongo.collation import Collation
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, WriteError

from consumer.core.errors import StoreUnavailable
from consumer.events.constraints import (
    EVERYTHING,
    NOTHING,
    Constraints,
    Positions,
    both,
    is_constraint,
    read_constraints,
)
from consumer.events.documents import as_stored
from consumer.events.take_out import take_out_pipeline
from consumer.mongodb.client import SIMPLE, Document
from consumer.mongodb.deadline import soon, unhurried
from consumer.mongodb.errors import translated
from consumer.mongodb.indexes import BY_STAMP
from consumer.schemas.check import CompiledSchema
from consumer.schemas.defaults import filled_positions, leaving_out
from consumer.schemas.expressions import nesting
from consumer.schemas.origin import Leaving
from consumer.schemas.provenance import RuleOrigins
from jobs.backfill.aliases import alias_stages, origins_of
from jobs.backfill.replace import CHANGED, Refusal, Whole, fill_whole
from jobs.backfill.stretches import Stretches
from jobs.backfill.updates import MAX_NESTING, Usual, fill_pipeline, fill_usual

COUNTED = 10_000_000
_COUNT_TIMEOUT = 60_000  # milliseconds

_STAMP = "_meta.backfilled_to"
_STAMPED = {_STAMP: 1, "_id": 0}
# One command each, so that the updates of large schemas stay small together.
_CHUNK = 100
# What several constraints refuse loses what each of them blames, one after the other.
_ROUNDS = 4
# The server is going away, not the primary, or its disk is full: this says nothing of the document.
_OF_THE_SERVER = frozenset(
    {6, 7, 64, 89, 91, 112, 189, 246, 262, 9001, 10107, 11600, 11602, 13435, 14031}
)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The way of every document that is stamped `stamp` to version `to` of its subject.

    `schema` fills just what lies between, once what is `leaving` is taken out; `pipeline` does the
    same in MongoDB, where it can, and `usual` for most documents, by `stretches`. `left` is the
    query for those that will keep something of what is leaving; by the `origins` aliases know what
    was sent.
    """

    stamp: int
    to: int
    schema: CompiledSchema
    pipeline: list[Document] | None
    leaving: Sequence[Leaving] = ()
    left: Document | None = None
    origins: Mapping[int, RuleOrigins] = field(default_factory=dict)
    usual: Usual | None = None


@dataclass(slots=True)
class Upgraded:
    """Outcome of a batch; a document in neither was filled or refused by another process.

    After a refusal `documents` counts what others settled at the same time, too. `unfilled` of
    them refused what was to be filled in, and were stamped without; `left` keep something that was
    filled in of a retired field.
    """

    documents: int = 0
    refused: list[Refusal] = field(default_factory=list)
    left: int = 0
    unfilled: int = 0


def upgrade(
    schema: CompiledSchema, stamp: int, to: int, leaving: Sequence[Leaving] = ()
) -> Upgrade:
    """`schema` must fill only what is newer than `stamp` (`newer_than`)."""
    origins = origins_of(schema)
    plan = Upgrade(stamp, to, schema, None, origins=origins)
    fill, aliases = fill_pipeline(schema, to), alias_stages(schema)
    pipeline = [*aliases.first, *fill, *aliases.last] if fill and aliases else None
    if leaving:
        plan = replace(plan, leaving=[replace(e, values=as_stored(e.values)) for e in leaving])
        out = take_out_pipeline(plan.leaving)
        pipeline = [*out.stages, *pipeline] if out and pipeline else None
        plan = replace(plan, left=out.left if out else None)
    if pipeline is None or nesting(pipeline) > MAX_NESTING:
        return replace(plan, left=None)
    return replace(plan, pipeline=pipeline, usual=None if leaving else fill_usual(schema, to))


class BackfillStore:
    """The documents of `events` by subject and `_meta.backfilled_to`; every method raises
    StoreUnavailable. All it writes carries its own stamp, so it may be cut off anywhere."""

    def __init__(self, events: Collection[Document]) -> None:
        self._events = events

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        # A batch on a slow disk may take a while, and a look that passes over the index entries of
        # what was filled within the last minutes, which MongoDB keeps for older readers.
        with translated("events"), soon(self._events):
            yield

    def behind(self, subject: str, below: int, after: datetime | None = None) -> int:
        """Count the documents that are filled to less than version `below`, of which COUNTED are
        counted at most; those only that were processed `after` a time."""
        wanted = _behind(subject, {"$lt": below})
        if after is not None:
            wanted["processed_at"] = {"$gt": after}
        with translated("events"), unhurried():
            return self._events.count_documents(
                wanted, limit=COUNTED, hint=BY_STAMP, maxTimeMS=_COUNT_TIMEOUT
            )

    def next_stamp(self, subject: str, after: int, below: int) -> int | None:
        """The lowest version between the two, exclusive, that documents are filled to."""
        with self._patiently():
            found = self._events.find_one(
                _behind(subject, {"$gt": after, "$lt": below}), _STAMPED, sort=[(_STAMP, ASCENDING)]
            )
        return int(found["_meta"]["backfilled_to"]) if found else None

    def ids(self, subject: str, stamp: int, skip: int, limit: int) -> list[Any]:
        """The `_id`s of documents with this stamp, in the order of the index; `skip` passes over
        those that were seen and stay."""
        with self._patiently():
            wanted = _behind(subject, stamp)
            found = self._events.find(wanted, {"_id": 1}, skip=skip, limit=limit, hint=BY_STAMP)
            return [document["_id"] for document in found]

    def stretches(self, subject: str, stamp: int) -> Stretches:
        """The documents with this stamp by stretches of the index."""
        return Stretches(self._events, _behind(subject, stamp), _check)

    def apply(self, ids: Sequence[Any], plan: Upgrade) -> Upgraded:
        """Upgrade these documents as far as they still carry the stamp."""
        with self._patiently():
            if plan.pipeline is None:
                return self._whole(ids, plan)
            wanted = {"_id": {"$in": list(ids)}, _STAMP: plan.stamp}
            left, collation = 0, None
            if plan.leaving or plan.origins:
                # Said here, for a filter by `_id` would say nothing, and keys are compared.
                collation = SIMPLE
            if plan.left is not None:
                left = self._events.count_documents({**wanted, **plan.left}, collation=SIMPLE)
            try:
                done = self._events.update_many(
                    wanted, plan.pipeline, collation=collation
                ).modified_count
            except WriteError as error:
                _check(error.code)
                # One refusal ends the whole command: find out which, and do the others.
                if plan.leaving:
                    return self._whole(ids, plan)
                return self._singly(ids, plan.stamp, plan.pipeline, collation)
            return Upgraded(done, left=left)

    def _whole(self, ids: Sequence[Any], plan: Upgrade) -> Upgraded:
        whole = Whole(plan.stamp, plan.to, plan.schema, plan.leaving, plan.origins)
        return Upgraded(*fill_whole(self._events, ids, whole))

    def constraints(self) -> Constraints:
        """Constraints that may refuse a document now."""
        with self._patiently():
            return read_constraints(self._events)

    def _singly(
        self,
        ids: Sequence[Any],
        stamp: int,
        pipeline: list[Document],
        collation: Collation | None,
    ) -> Upgraded:
        # What the command did before it ended, it does not tell.
        left = self._events.count_documents({"_id": {"$in": list(ids)}, _STAMP: stamp})
        upgraded = Upgraded(len(ids) - left)
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            updates = [
                UpdateOne({"_id": _id, _STAMP: stamp}, pipeline, collation=collation)
                for _id in chunk
            ]
            try:
                result = self._events.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                details = error.details or {}
                if details.get("writeConcernErrors"):
                    raise
                for refused in details["writeErrors"]:
                    _check(refused["code"])
                    document_id = chunk[refused["index"]]
                    upgraded.refused.append(Refusal(document_id, refused["code"], refused))
                upgraded.documents += details["nModified"]
            else:
                upgraded.documents += result.modified_count
        return upgraded


def _behind(subject: str, stamp: Any) -> Document:
    return {"_meta.subject": subject, _STAMP: stamp}


def _check(code: int | None) -> None:
    if code in _OF_THE_SERVER:
        raise StoreUnavailable(f"MongoDB could not carry on (code {code}): the next run goes on")


def retry_refused(store: BackfillStore, upgraded: Upgraded, plan: Upgrade) -> Upgraded:
    """Retry what a batch refused: refusals left are of documents that take not even the stamp, and
    name their culprit. Those that changed meanwhile stay, too. Raises StoreUnavailable."""
    changed = [refusal for refusal in upgraded.refused if refusal.code == CHANGED]
    refused = [(each, NOTHING) for each in upgraded.refused if each.code != CHANGED]
    result = replace(upgraded, refused=changed)
    if not refused:
        return result
    constraints = store.constraints()
    for left in reversed(range(_ROUNDS + 1)):
        groups: dict[Positions, list[Any]] = {}
        for refusal, without in refused:
            if without == EVERYTHING:
                named = replace(refusal, culprit=constraints.culprit(refusal.error))
                result.refused.append(named)
                continue
            next_ = _next(constraints, refusal, plan, without) if left > 1 else EVERYTHING
            groups.setdefault(next_, []).append(refusal.document_id)
        refused = []
        for positions, ids in groups.items():
            schema = leaving_out(plan.schema, positions)
            lighter = upgrade(schema, plan.stamp, plan.to, plan.leaving)
            again = store.apply(ids, lighter)
            result.documents += again.documents
            result.unfilled += again.documents
            refused += [(each, positions) for each in again.refused]
    return result


def _next(
    constraints: Constraints, refusal: Refusal, plan: Upgrade, without: Positions
) -> Positions:
    """Find what to leave out next of a document that was refused though something was left out."""
    if plan.schema.version is None or not is_constraint(refusal.code):
        return EVERYTHING
    aliases = plan.schema.aliases.rules if plan.schema.aliases else ()
    placed = (position for rule in aliases for position in rule.positions)
    positions = dict.fromkeys((*filled_positions(plan.schema.root), *placed))
    filled = [each for each in positions if each not in without]
    fields = plan.schema.version.fields
    more = constraints.to_leave_out(refusal.error, filled, fields)
    return EVERYTHING if more is None else both(without, more)
