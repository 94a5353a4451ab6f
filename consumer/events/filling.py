"""Store events filled with defaults, and without those that an index or validator refuses.

A unique key that a stored document holds only by its filling is freed for an event sent with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any

import msgspec
import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import WriteError

from consumer.core.errors import ConstraintViolation, Unstorable
from consumer.events.constraints import EVERYTHING, NOTHING, Constraints, Positions, both
from consumer.events.documents import encode, plain
from consumer.events.store import EventStore
from consumer.mongodb.client import RAW, SIMPLE, Document
from consumer.mongodb.errors import translated
from consumer.schemas.check import CompiledSchema
from consumer.schemas.defaults import Checked, Filled, fill
from consumer.schemas.provenance import leaving_of, remove_fillings, value_at

log = structlog.get_logger(__name__)

# What several constraints refuse loses what each of them blames, one after the other.
_ROUNDS = 4
# Seconds for which what may refuse an event is taken to be what it was when somebody looked.
_FRESH = 5.0


# Fills the payload of a subject in place, after its check.
Fill = Callable[[str, dict[str, Any], Checked], Filled]


class Prepared(msgspec.Struct):
    """An event of a subject as its document, and the digest of its body.

    Nothing of its payload is held beside it: what thirty others leave behind while they wait for
    MongoDB together is more than the processor's caches take (a sixth of the time of 6 KB).
    """

    subject: str
    document: RawBSONDocument
    digest: str


class FilledEvents:
    """Appends events filled. What a refusal blames is left out, of this event and, once that
    helped, of all of its subject until the constraints are others.

    `compiled` gives a subject's newest schema known here, `read` the constraints as they stand in
    MongoDB; `free` takes filling out of a document that holds the key of an event (`free_key`).
    Where it `fills` nothing, each document says that something may have been left out.
    """

    def __init__(
        self,
        events: EventStore,
        *,
        compiled: Callable[[str], CompiledSchema],
        read: Callable[[], Constraints],
        free: Callable[[Constraints, Mapping[str, object]], bool],
        fills: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._events = events
        self._compiled = compiled
        self._read = read
        self._free = free
        self._fills = fills
        self._clock = clock
        self._mutex = threading.Lock()
        self._without: dict[str, Positions] = {}
        self._constraints = Constraints()
        self._read_at = float("-inf")
        self._generation = 0

    def append(self, prepare: Callable[[Fill], Prepared], *, rekeyed: bool = False) -> bool:
        """Append an event as EventStore does, which explains `rekeyed`: True where it was new.
        `prepare` makes its document with a filled payload, and once more after each refusal.

        Raises ConstraintViolation for what is refused as sent, and what EventStore and `prepare`
        raise.
        """
        without: Positions | None = None
        learned, rounds, generation = False, 0, 0
        # A copy is refused for its value, which says nothing of other events.
        no_copy, copied = NOTHING, False
        positions: Sequence[int] = ()
        copies: Sequence[int] = ()

        def filling(subject: str, payload: dict[str, Any], checked: Checked) -> Filled:
            nonlocal without, positions, copies
            if not self._fills:
                return Filled(left_out=True)
            if without is None:
                without = self._without.get(subject, NOTHING)
            filled = fill(payload, checked, without, no_copy)
            positions = filled.positions
            copies = [position for each in filled.placed for position in each.positions]
            return filled

        while True:
            positions, copies = [], []
            try:
                prepared = prepare(filling)
                new = self._events.append(prepared.document, prepared.digest, rekeyed=rekeyed)
            except Unstorable:
                # It may be too large only by what is filled in, which says nothing of others.
                if not positions:
                    raise
                learned, without, no_copy = False, EVERYTHING, EVERYTHING
            except ConstraintViolation as error:
                learned, rounds = True, rounds + 1
                blamed = self._blamed(error, prepared.subject, positions, rounds)
                copied = copied or any(position in blamed for position in copies)
                without, no_copy = both(without or NOTHING, blamed), both(no_copy, blamed)
                generation = self._generation
            else:
                if learned and not copied:
                    self._remember(prepared.subject, without or NOTHING, generation)
                return new

    def take_back(self, _id: str) -> None:
        """Delete a document that was appended; raises StoreUnavailable."""
        self._events.take_back(_id)

    def refresh(self) -> None:
        """Fill again what was left out, if the constraints are others now; asks MongoDB only where
        something is left out. Raises StoreUnavailable."""
        if self._without:
            self._read_again()

    def _blamed(
        self,
        error: ConstraintViolation,
        subject: str,
        positions: Sequence[int],
        rounds: int,
    ) -> Positions:
        """Fields to leave out, too; raises ConstraintViolation for what no filling has caused."""
        constraints = self._constraints
        if self._clock() - self._read_at > _FRESH or not constraints.explain(error.refusal):
            constraints = self._read_again()
        version = self._compiled(subject).version
        if version is not None and positions:
            more = constraints.to_leave_out(error.refusal, positions, version.fields)
            if more is not None:
                return more if rounds < _ROUNDS else EVERYTHING
        if rounds < _ROUNDS and self._free(constraints, error.refusal):
            return NOTHING
        message = constraints.sentence(error.refusal)
        raise ConstraintViolation(message, error.refusal, constraints.digest) from None

    def _read_again(self) -> Constraints:
        found = self._read()
        with self._mutex:
            if found.fingerprint != self._constraints.fingerprint:
                self._without, self._generation = {}, self._generation + 1
            self._constraints, self._read_at = found, self._clock()
        return found

    def _remember(self, subject: str, without: Positions, generation: int) -> None:
        with self._mutex:
            if generation != self._generation:
                # Others may refuse it by now, or none.
                return
            before = self._without.get(subject, NOTHING)
            without = both(before, without)
            if without == before:
                return
            self._without = {**self._without, subject: without}
        log.warning(
            "an index or the validator refuses what is filled in: it is left out from now on",
            subject=subject,
            fields="all" if without is EVERYTHING else len(without),
        )


def free_key(
    events: Collection[Document],
    constraints: Constraints,
    refusal: Mapping[str, Any],
    compiled: Callable[[str], CompiledSchema],
) -> bool:
    """Free the key for which an event was refused as sent, if the document that holds it was not
    sent with it: that says in `_meta.unfilled` that it lost its filling. True where it is free.

    Raises StoreUnavailable.
    """
    index, values = constraints.unique(refusal), refusal.get("keyValue")
    # A query cannot name a hidden one.
    odd = index is None or index.get("collation") or index.get("hidden")
    if index is None or odd or not isinstance(values, Mapping):
        return False
    # Both, for the filter may be one on the key itself.
    wanted = {"$and": [{**values}, index.get("partialFilterExpression") or {}]}
    with translated(events.name):
        raw = events.with_options(codec_options=RAW)
        # By this index alone: others would show documents without the field, which hold nothing.
        found = raw.find_one(wanted, hint=index["name"], collation=SIMPLE)
        if found is None:
            return False
        changed = _without(plain(found), constraints, refusal, compiled)
        if changed is None:
            return False
        try:
            return replaced(events, found, encode(changed))
        except WriteError:
            return False


def _without(
    document: Document,
    constraints: Constraints,
    refusal: Mapping[str, Any],
    compiled: Callable[[str], CompiledSchema],
) -> Document | None:
    """The document without its fillings in the fields of the index; None if there are none."""
    meta = document.get("_meta")
    if not isinstance(meta, dict) or not isinstance(meta.get("subject"), str):
        return None
    schema, upto = compiled(meta["subject"]), meta.get("backfilled_to")
    if schema.version is None or not isinstance(upto, int):
        return None
    (blame,) = constraints.blames(refusal)
    fields = {
        position: field
        for position, field in enumerate(schema.version.fields)
        if field.is_filled and blame.is_about(field.path)
    }
    before = _payload(document)
    leaving = leaving_of(fields, schema.version, schema.defaults)
    copies = {each.old: each.new for each in schema.version.aliases if each.new is not None}
    remove_fillings(
        document,
        [
            replace(each, values=[*each.values, value_at(document, copies[each.path])])
            if each.path in copies
            else each
            for each in leaving
        ],
    )
    if _payload(document) == before:
        return None
    meta["unfilled"] = max(upto, meta.get("unfilled", 0))
    return document


def _payload(document: Mapping[str, Any]) -> bytes:
    return bytes(encode({name: value for name, value in document.items() if name != "_meta"}).raw)


def replaced(
    events: Collection[Document], found: RawBSONDocument, changed: RawBSONDocument
) -> bool:
    """Replace a document if it still is as it was found: True where it was. Driver errors pass
    through."""
    # MongoDB 5.0 fails where it looks for an index of `$$ROOT` in an `$eq`.
    is_found = {"$eq": [{"$cmp": ["$$ROOT", {"$literal": found}]}, 0]}
    # A replacement is an update here, for that is not refused for keys with dots or `$`.
    result = events.update_one(
        {**_place(found), "$expr": is_found},
        [{"$replaceWith": {"$literal": changed}}],
        # For the comparison of the whole.
        collation=SIMPLE,
    )
    return bool(result.matched_count)


def _place(found: RawBSONDocument) -> Document:
    """A filter that finds the document alone, and fast by an index of ours where that of `_id`
    compares otherwise than the command."""
    place = {"_id": found["_id"], "_meta.subject": found["_meta"]["subject"]}
    place["_meta.backfilled_to"] = found["_meta"]["backfilled_to"]
    ordered = {name: found.get(name) for name in ("schema_version", "processed_at")}
    return place | {name: at for name, at in ordered.items() if isinstance(at, int | datetime)}
