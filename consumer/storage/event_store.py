"""Append events to MongoDB, each once, and tell what a refusal means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, WriteError

from consumer.errors import ConstraintViolation, IdConflict, StoreError, Unstorable
from consumer.storage.translate import translated

_DOCUMENT_VALIDATION_FAILED = 121
_TOO_LARGE = frozenset({10334, 17280, 17419, 17420})


class EventStore:
    """The `events` collection under `w=majority, j=true`.

    `conflicts_matter`: with `CXONE_DEDUPE=id` the same `_id` may come with another body.
    """

    def __init__(self, events: Collection[dict[str, Any]], conflicts_matter: bool) -> None:
        self._events = events
        self._conflicts_matter = conflicts_matter

    def append(self, document: RawBSONDocument, digest: str) -> bool:
        """Whether the document was new; False when it is there already. Durable in either case.

        Raises ConstraintViolation, IdConflict, StoreError, Unstorable for this one document, and
        StoreUnavailable when its fate is unknown.
        """
        with translated("events"):
            try:
                self._events.insert_one(document)
            except DuplicateKeyError as error:
                if not _is_id_index(error.details or {}):
                    raise _violation("a unique index", error) from error
            except DocumentTooLarge as error:
                raise Unstorable("the document is larger than MongoDB takes") from error
            except WriteError as error:
                _refused(error)
            else:
                return True
            if self._conflicts_matter:
                self._same_content(document["_id"], digest)
            return False

    def _same_content(self, _id: str, digest: str) -> None:
        kept = self._events.find_one({"_id": _id}, {"_meta.digest": 1, "_id": 0})
        if kept is not None and kept.get("_meta", {}).get("digest") != digest:
            raise IdConflict("an event of this type and id is stored with other content")


def _is_id_index(details: Mapping[str, Any]) -> bool:
    # Only then is E11000 a duplicate; another unique index refuses a different event.
    return dict(details.get("keyPattern") or {}) == {"_id": 1}


def _violation(what: str, error: WriteError) -> ConstraintViolation:
    names = ", ".join(dict((error.details or {}).get("keyPattern") or {}))
    on = f" on {names}" if names else ""
    return ConstraintViolation(
        f"{what}{on} of the collection `events` refused the document:"
        " `cxone-consumer doctor` lists what can refuse events"
    )


def _refused(error: WriteError) -> NoReturn:
    if error.code == _DOCUMENT_VALIDATION_FAILED:
        raise _violation("the validator", error) from error
    if error.code in _TOO_LARGE:
        raise Unstorable("the document is larger than MongoDB takes") from error
    # The server's own text may quote values, so only its code is passed on.
    raise StoreError(f"MongoDB refused the document with code {error.code}") from error
