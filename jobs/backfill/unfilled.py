"""Fill documents after all that lack something on purpose, when a person asks for it.

They are few, so each is filled in this process, and loses what a refusal blames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import DocumentTooLarge, WriteError

from consumer.core.clock import utc_now
from consumer.core.errors import Unstorable
from consumer.core.paths import RESERVED
from consumer.events.constraints import NOTHING, Constraints, Positions, both, read_constraints
from consumer.events.documents import encode, plain
from consumer.events.filling import replaced
from consumer.mongodb.client import RAW, Document
from consumer.mongodb.deadline import soon, unhurried
from consumer.mongodb.errors import translated
from consumer.mongodb.indexes import UNFILLED
from consumer.schemas.check import CompiledSchema
from consumer.schemas.defaults import Filled, fill, up_to
from consumer.schemas.model import Field
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.backfill.aliases import origins_of
from jobs.backfill.pace import Pace, Progress
from jobs.backfill.replace import with_aliases
from jobs.scheduling.job import JobRun

_BATCH = 100
# What several constraints refuse loses what each of them blames, one after the other.
_ROUNDS = 4
# The order of the index on such documents.
_ORDER = [("_meta.unfilled", 1), ("_meta.backfilled_to", 1), ("processed_at", 1)]


def fill_unfilled(
    documents: UnfilledDocuments,
    registry: SchemaRegistry,
    found: Mapping[str, int],
    pace: Pace,
    run: JobRun,
) -> dict[str, Any]:
    """Go once through the unfilled documents of these subjects (`found`: how many of each): how
    many were filled, how many lack something still, how many of those refuse all of it.

    It may be cut off anywhere. Raises StoreUnavailable.
    """
    progress = Progress(sum(found.values()), monotonic())
    total = Refilled()
    for subject in found:
        schema = registry.compiled(subject)
        staying = 0
        while not run.stopping():
            start = monotonic()
            batch = documents.refill(schema, subject, staying, min(_BATCH, pace.size))
            if batch is None:
                break
            staying += batch.staying
            total.add(batch)
            progress.done += batch.documents
            progress.remaining = max(0, progress.remaining - batch.documents)
            run.progress(subject=subject, **progress.facts(monotonic(), utc_now()))
            pace.rest(monotonic() - start, run.stopping)
    return {
        "documents": total.documents,
        "unfilled": total.staying,
        "refused": total.refused,
        "seconds": round(monotonic() - progress.started, 3),
    }


@dataclass(slots=True)
class Refilled:
    """Counts of what became of documents: `documents` were filled, as far as they can be; `staying`
    lack something still, `refused` of them all that they lack."""

    documents: int = 0
    staying: int = 0
    refused: int = 0

    def add(self, other: Refilled) -> None:
        self.documents += other.documents
        self.staying += other.staying
        self.refused += other.refused


class UnfilledDocuments:
    """The documents of `events` with `_meta.unfilled`; every method raises StoreUnavailable."""

    def __init__(self, events: Collection[Document]) -> None:
        self._events = events

    def count(self) -> dict[str, int]:
        """Count them, by subject."""
        counted = {"_id": "$_meta.subject", "count": {"$sum": 1}}
        with translated("events"), unhurried():
            found = self._events.aggregate(
                [{"$match": {"_meta.subject": {"$gte": ""}, **UNFILLED}}, {"$group": counted}]
            )
            return {row["_id"]: row["count"] for row in found}

    def refill(
        self, schema: CompiledSchema, subject: str, skip: int, limit: int
    ) -> Refilled | None:
        """Fill the next documents of the subject, but for the first `skip`, which stay as they are;
        None when there are no more."""
        with translated("events"), soon(self._events):
            raw = self._events.with_options(codec_options=RAW)
            wanted = {"_meta.subject": subject, **UNFILLED}
            found = list(raw.find(wanted).sort(_ORDER).skip(skip).limit(limit))
            if not found:
                return None
            constraints = read_constraints(self._events)
            total = Refilled()
            for document in found:
                total.add(self._one(document, schema, constraints))
            return total

    def _one(
        self, found: RawBSONDocument, schema: CompiledSchema, constraints: Constraints
    ) -> Refilled:
        """Fill one document, and without what a refusal blames."""
        unfilled = found["_meta"]["unfilled"]
        if schema.version is None or not isinstance(unfilled, int):
            return Refilled(staying=1)
        older, fields = up_to(schema, unfilled), schema.version.fields
        without: Positions = NOTHING
        for _ in range(_ROUNDS):
            changed, filled = _filled(plain(found), older, fields, without)
            if filled.left_out and not filled.positions:
                # Nothing is left to fill; what is beyond the bound is no refusal.
                return Refilled(staying=1, refused=int(bool(without)))
            try:
                matched = replaced(self._events, found, encode(changed))
            except (DocumentTooLarge, Unstorable):
                return Refilled(staying=1, refused=1)
            except WriteError as error:
                more = constraints.to_leave_out(error.details or {}, filled.positions, fields)
                if more is None:
                    return Refilled(staying=1, refused=1)
                without = both(without, more)
                continue
            # One that changed meanwhile comes again with the next run.
            return Refilled(documents=int(matched), staying=int(filled.left_out or not matched))
        return Refilled(staying=1, refused=1)


def _filled(
    document: Document, schema: CompiledSchema, fields: Sequence[Field], without: Positions
) -> tuple[Document, Filled]:
    """The document, whose parts are used up, filled with what it lacks of the schema.

    What came up to its own version is listed as filled at ingest; what came later shows by itself.
    """
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    aliases = schema.aliases and schema.aliases.without(without)
    origins = origins_of(schema)
    meta = with_aliases(document, payload, aliases, origins)
    placed = set(meta.get("filled", ())) - set(document["_meta"].get("filled", ()))
    filled = fill(payload, schema.check(payload), without)
    stamped = document.get("schema_version", 0)
    at_ingest = [p for p in filled.positions if fields[p].fill_from <= stamped]
    filled.positions += placed
    filled.left_out |= aliases is not None and aliases.left_out
    if at_ingest:
        meta["filled"] = sorted({*meta.get("filled", ()), *at_ingest})
    if not filled.left_out:
        del meta["unfilled"]
    # What was there keeps its place.
    return {**document, "_meta": meta, **payload}, filled
