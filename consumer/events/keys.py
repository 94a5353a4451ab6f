"""Derive the `_id` of an event, by which two deliveries are the same event.

The formula is recorded in the database by the first service, and holds whatever is set later.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from json.encoder import encode_basestring_ascii as _in_ascii
from typing import Literal

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from consumer.core.delivery import MAIN, Event, Scalar
from consumer.core.errors import StoreUnavailable
from consumer.mongodb.client import DATABASE_FORMAT, EVENTS, Document
from consumer.mongodb.errors import translated

# The one subject under which all types evolve together (`CXONE_SCHEMA_SCOPE=collection`).
COLLECTION_SUBJECT = "events"
_RECORD = {"_id": "event_key"}
# One is enough, but where another process records it at the same moment.
_TRIES = 5
_FORMULAS = ("type", "collection")


def document_id(
    subject: str, event_id: Scalar | tuple[Scalar, ...], digest: str | None, source: str = MAIN
) -> str:
    """SHA-256 (hex) over subject, id and body digest; without the digest, the id alone is the key.
    Other sources than the main one stand before them, as a list, so that none is taken for another.

    JSON text, because it tells 1 from "1" and does not change between Python versions.
    """
    # What json.dumps makes of a list, without its detours: this runs for every event.
    text = _in_ascii(event_id) if type(event_id) is str else json.dumps(event_id)
    text = f"{_in_ascii(subject)}, {text}"
    if digest is not None:
        text = f"{text}, {_in_ascii(digest)}"
    if source != MAIN:
        text = f"{json.dumps([source])}, {text}"
    return hashlib.sha256(f"[{text}]".encode("ascii")).hexdigest()


class EventKeys:
    """Parts of the `_id` of an event: with `dedupe` by content its digest, and its type or, in
    databases begun so, the subject `events`. The first service that starts on a database records
    which, for ever; a command (`records` False), whose settings may be others, only reads it."""

    def __init__(
        self,
        database: Database[Document],
        scope: Literal["type", "collection"],
        dedupe: Literal["content", "id"],
        *,
        records: bool = True,
    ) -> None:
        self._record = database[DATABASE_FORMAT]
        self._events = database[EVENTS]
        self._scope = scope
        self._by_id = dedupe == "id"
        self._records = records
        self._formula: str | None = None

    def learn(self) -> None:
        """Learn the formula, and record it where no process has; raises StoreUnavailable."""
        if self._formula is not None:
            return
        with translated(DATABASE_FORMAT):
            found = self._record.find_one(_RECORD)
            if found is None:
                found = self._record_formula() if self._records else {"subject": self._begun()}
        if found["subject"] not in _FORMULAS:
            raise StoreUnavailable("a newer version of this program decides on the `_id` of events")
        self._formula = found["subject"]

    def of(self, event: Event) -> str:
        """The `_id` of an event; the first time raises StoreUnavailable where MongoDB is away."""
        if self._by_id:
            return document_id(event.type, event.id, None, event.source)
        if self._formula is None:
            self.learn()
        subject = event.type if self._formula == "type" else COLLECTION_SUBJECT
        return document_id(subject, event.id, event.digest, event.source)

    def known(self, event: Event) -> str | None:
        """The `_id` of an event; None while this process has not learnt the formula, and so can
        have stored nothing by it."""
        return self.of(event) if self._by_id or self._formula else None

    def _record_formula(self) -> Document:
        update = {"$setOnInsert": {"subject": self._begun()}}
        for _ in range(_TRIES):
            # Not with find_one: the record of another process may wait for its majority still.
            with suppress(DuplicateKeyError):
                found = self._record.find_one_and_update(
                    _RECORD, update, upsert=True, return_document=ReturnDocument.AFTER
                )
                if found is not None:
                    return found
        raise StoreUnavailable("the formula of the `_id` of events could not be recorded")

    def _begun(self) -> str:
        """The formula of the documents that are there: of older programs, the one they set."""
        if self._scope == "type":
            return "type"
        ours = {"_meta.subject": COLLECTION_SUBJECT}
        return "collection" if self._events.find_one(ours, {"_id": 1}) else "type"
