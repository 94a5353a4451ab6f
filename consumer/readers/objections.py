"""Keep the changes that people rejected, and tell what speaks against changes of a subject."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from pymongo.collection import Collection

from consumer.core.errors import SetupError
from consumer.mongodb.client import Document
from consumer.mongodb.errors import readable, translated
from consumer.readers.pins import Pin, Pins
from consumer.readers.verdicts import Sight, sights
from consumer.schemas.json_types import bits, mask
from consumer.schemas.model import Change, SchemaVersion
from consumer.schemas.objections import NONE, Objections, RejectedChange
from consumer.schemas.policy import Contract

# They are read, all of a subject, whenever something new comes.
MOST = 500


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected change of a subject, by whom and when."""

    subject: str
    change: RejectedChange
    at: datetime
    by: str

    def to_document(self) -> Document:
        """The document of the collection `rejected_changes`."""
        path, types = list(self.change.path), list(bits(self.change.types))
        return {
            "_id": {"subject": self.subject, "path": path, "types": types},
            "then": self.change.then,
            "at": self.at,
            "by": self.by,
        }


def _of_document(document: Mapping[str, Any]) -> Rejection:
    key = document["_id"]
    change = RejectedChange(tuple(key["path"]), document["then"], mask(key["types"]))
    return Rejection(key["subject"], change, document["at"], document["by"])


class RejectedChanges:
    """The collection `rejected_changes`; every method raises StoreUnavailable. Who rejects or
    revokes records it in the audit first."""

    def __init__(self, rejected: Collection[Document]) -> None:
        self._rejected = rejected

    def all(self, subject: str | None = None) -> list[Rejection]:
        """Every rejected change, or those of one subject, the oldest first."""
        wanted: Document = {"at": {"$type": "date"}}
        if subject is not None:
            wanted["_id.subject"] = subject
        with translated(self._rejected.name):
            found = list(self._rejected.find(wanted))
        return sorted(readable(found, _of_document), key=lambda each: each.at)

    def put(self, rejection: Rejection) -> None:
        """Make a rejection durable, in place of one of the same change; raises SetupError where
        there are as many as may be."""
        document = rejection.to_document()
        with translated(self._rejected.name):
            if self._rejected.count_documents({"_id": {"$ne": document["_id"]}}) >= MOST:
                raise SetupError(
                    f"{MOST:,} changes are rejected, as many as may be: `schema reject --revoke`"
                    " takes those back that do not come any more"
                )
            self._rejected.replace_one({"_id": document["_id"]}, document, upsert=True)

    def revoke(self, rejection: Rejection) -> bool:
        """Take a rejection back; False where another process did."""
        with translated(self._rejected.name):
            key = rejection.to_document()["_id"]
            return self._rejected.delete_one({"_id": key}).deleted_count == 1


class StandingObjections:
    """All that speaks against changes of a subject: rejected ones, and where its contract holds
    what breaks a reader, the pins. Asked whenever something new comes, never for what is known.

    A pin whose version is lost is taken to know all that is known now: whoever wants to be asked
    first is asked once too often rather than broken."""

    def __init__(
        self,
        pins: Pins,
        rejected: RejectedChanges,
        version_of: Callable[[str, int], SchemaVersion | None],
        newest_of: Callable[[str], SchemaVersion | None],
    ) -> None:
        """`version_of` gives a version by subject and number, `newest_of` the newest of a subject;
        both raise StoreUnavailable."""
        self._pins = pins
        self._newest_of = newest_of
        self._rejected = rejected
        self._version_of = version_of
        self._seen: dict[tuple[object, ...], list[Sight]] = {}

    def __call__(self, subject: str, contract: Contract) -> Objections:
        """The objections of now; raises StoreUnavailable."""
        rejected = [each.change for each in self._rejected.all(subject)]
        holds = contract.on_reader_break == "hold"
        pins = self._pins.all(subject) if holds else []
        if not rejected and not pins:
            return NONE
        seen = [each for pin in pins for each in self._sights(pin)]
        readers = [(pin.reader, pin.version, pin.uses) for pin in pins]
        changes = [(each.path, each.then, each.types) for each in rejected]
        text = json.dumps([readers, changes])
        return Objections(_broken_by(seen), tuple(rejected), sha256(text.encode()).hexdigest()[:16])

    def _sights(self, pin: Pin) -> list[Sight]:
        """All that a pin sees; versions do not change, so each is read once."""
        key = (pin.reader, pin.subject, pin.version, pin.uses)
        if key not in self._seen:
            found = sights([pin], self._version_of)
            if not found:
                # Not kept: the newest is another one soon.
                return sights([pin], lambda subject, _: self._newest_of(subject))
            if len(self._seen) >= self._pins.most:
                self._seen.clear()
            self._seen[key] = found
        return self._seen[key]


def _broken_by(seen: list[Sight]) -> Callable[[Change], list[str]]:
    def broken(change: Change) -> list[str]:
        return [each.reader for each in seen if any(True for _ in each.breaches((change,)))]

    return broken
