"""Append events to MongoDB, each once, in batches that threads share; say what a refusal means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    PyMongoError,
    WriteError,
)

from consumer.core.errors import (
    ConstraintViolation,
    ConsumerError,
    IdConflict,
    StoreError,
    StoreUnavailable,
    Unstorable,
)
from consumer.core.group_commit import IN_FLIGHT, GroupCommit
from consumer.events.constraints import DUPLICATE_KEY, SIZES, TOO_LARGE, Constraints, is_constraint
from consumer.mongodb.client import EVENTS, Document
from consumer.mongodb.deadline import in_time
from consumer.mongodb.errors import translated, unavailable

# Refusals of the whole command for one document in it: nested too deep (15), or no BSON (22).
_OF_THE_DOCUMENT = frozenset({15, 22}) | SIZES


@dataclass(slots=True)
class _Insert:
    """A document on its way, and its outcome: `refusal` is the server's write error for it,
    `failure` what kept its whole command from being carried out, or from being known to be; that
    `ran` for so many seconds."""

    document: RawBSONDocument
    size: int
    done: bool = False
    refusal: Mapping[str, Any] | None = None
    failure: PyMongoError | None = None
    ran: float = 0.0


class EventStore:
    """The `events` collection under `w=majority, j=true`.

    `conflicts_matter`: with `CXONE_DEDUPE=id` the same `_id` may come with another body.
    """

    def __init__(
        self,
        events: Collection[Document],
        conflicts_matter: bool,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._events = events
        self._conflicts_matter = conflicts_matter
        self._group: GroupCommit[_Insert] = GroupCommit(self._insert, in_flight)

    @property
    def waiting(self) -> int:
        """Number of appends that wait for others to return before they are sent."""
        return self._group.waiting

    def append(self, document: RawBSONDocument, digest: str, *, rekeyed: bool = False) -> bool:
        """Append a document, durably: True when it was new, False when it is there already.
        `rekeyed`: its `_id` was made under settings that may have been others.

        Shares its round trip with the appends of other threads. Raises ConstraintViolation,
        IdConflict, StoreError, Unstorable for this one document, and StoreUnavailable when its
        fate is unknown.
        """
        insert = _Insert(document, len(document.raw))
        self._group.submit(insert)
        # This first: whoever writes it may go on after this thread's deadline, and sets it last.
        if not insert.done:
            raise StoreUnavailable(
                "the insert of a batch of events took too long, or broke off: see the log"
            )
        if insert.failure is not None and _nothing_was_done(insert.failure):
            # Perhaps for a neighbour's sake, so each tries again alone.
            insert.failure = None
            self._insert([insert])
        if insert.failure is not None:
            raise unavailable(insert.failure, EVENTS, insert.ran) from insert.failure
        if insert.refusal is None:
            return True
        if not _is_duplicate(insert.refusal):
            raise _refusal_error(insert.refusal)
        if self._conflicts_matter or rekeyed:
            self._require_same_content(document["_id"], digest)
        return False

    def take_back(self, _id: str) -> None:
        """Delete a document that was appended; raises StoreUnavailable."""
        with translated(EVENTS):
            self._events.delete_one({"_id": _id})

    def _insert(self, inserts: Sequence[_Insert]) -> None:
        with in_time():
            if len(inserts) == 1:
                self._insert_one(inserts[0])
            else:
                self._insert_many(inserts)

    def _insert_one(self, insert: _Insert) -> None:
        began = monotonic()
        try:
            self._events.insert_one(insert.document)
        except DuplicateKeyError as error:
            refusal = error.details or {}
            if _keys(refusal) and not _is_duplicate(refusal):
                insert.refusal, insert.done = refusal, True
                return
            # The driver keeps to itself that no majority confirmed the document that is there: it
            # could still be rolled back. Only a bulk insert tells both.
            self._insert_many([insert])
        except WriteError as error:
            insert.refusal = error.details or {"code": error.code}
        except DocumentTooLarge:
            insert.refusal = {"code": TOO_LARGE}
        except PyMongoError as error:
            if getattr(error, "code", None) in _OF_THE_DOCUMENT:
                insert.refusal = {"code": error.code}  # type: ignore[attr-defined]
            else:
                insert.failure, insert.ran = error, monotonic() - began
        insert.done = True

    def _insert_many(self, inserts: Sequence[_Insert]) -> None:
        refusals: Mapping[int, Mapping[str, Any]] = {}
        failure: PyMongoError | None = None
        began = monotonic()
        try:
            self._events.insert_many([insert.document for insert in inserts], ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            refusals = {refusal["index"]: refusal for refusal in details["writeErrors"]}
            # No majority confirmed it: then nothing is known of any.
            failure = error if details["writeConcernErrors"] else None
        except PyMongoError as error:
            failure = error
        ran = monotonic() - began
        for index, insert in enumerate(inserts):
            insert.refusal, insert.failure, insert.ran = refusals.get(index), failure, ran
            insert.done = True

    def _require_same_content(self, _id: str, digest: str) -> None:
        with translated(EVENTS):
            kept = self._events.find_one({"_id": _id}, {"_meta.digest": 1, "_id": 0})
        if kept is not None and kept.get("_meta", {}).get("digest") != digest:
            raise IdConflict("an event of this type and id is stored with other content")


def _nothing_was_done(failure: PyMongoError) -> bool:
    """True for the refusal of a whole batch before any of it was inserted."""
    return getattr(failure, "code", None) in _OF_THE_DOCUMENT


def _is_duplicate(refusal: Mapping[str, Any]) -> bool:
    # Only under the key pattern `_id`; another unique index refuses a different event.
    return refusal.get("code") == DUPLICATE_KEY and _keys(refusal) == {"_id": 1}


def _keys(refusal: Mapping[str, Any]) -> dict[str, Any]:
    return dict(refusal.get("keyPattern") or {})


def _refusal_error(refusal: Mapping[str, Any]) -> ConsumerError:
    """The error for a refused document; never in the server's words, which quote values."""
    code = refusal.get("code")
    if code in SIZES:
        return Unstorable("the document is larger than MongoDB takes")
    if is_constraint(code):
        return ConstraintViolation(Constraints().sentence(refusal), refusal)
    return StoreError(f"MongoDB refused the document with code {code}")
