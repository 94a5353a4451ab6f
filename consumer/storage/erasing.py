"""Find and delete what is kept of one person, in events and in dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database

from consumer.repairs import repair
from consumer.storage.mongo import DEAD_LETTERS, EVENTS, Document
from consumer.storage.person_query import Person, payload_of, query
from consumer.storage.translate import translated
from consumer.storage.whole_documents import plain

# What one search remembers; another one finds the rest.
MOST = 100_000
_BATCH = 500
# Seconds. A search may have to read everything there is.
_SEARCH_TIMEOUT = 3600.0
_DELETE_TIMEOUT = 60.0
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_LETTER_FIELDS = (
    *("original_payload", "edited_payload", "event_id", "event_type", "reason"),
    *("document_id", "resolved_by"),
)


@dataclass(slots=True)
class Found:
    """What was found: `_id`s, and how many events of each subject and dead letters of each reason.

    `unreadable` of the dead letters can be searched as text only. `more`: there is more than a
    search remembers.
    """

    events: list[Any] = field(default_factory=list)
    dead_letters: list[Any] = field(default_factory=list)
    subjects: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    more: bool = False

    def __bool__(self) -> bool:
        return bool(self.events or self.dead_letters)


class Erasing:
    """The collections `events` and `dead_letter_queue`; methods raise StoreUnavailable.

    `type_of` reads the type of a payload; `by_subject`: the subject of an event is its type.
    """

    def __init__(
        self, db: Database[Document], type_of: Callable[[Document], object], *, by_subject: bool
    ) -> None:
        self._events = db[EVENTS]
        self._letters = db[DEAD_LETTERS]
        self._type_of = type_of
        self._by_subject = by_subject

    def find(self, person: Person) -> Found:
        """Everything of a person, or the first of very much."""
        found = Found()
        with translated(EVENTS), pymongo.timeout(_SEARCH_TIMEOUT):
            for document in self._documents(person):
                found.events.append(document["_id"])
                found.subjects[str((document.get("_meta") or {}).get("subject"))] += 1
                if len(found.events) == MOST:
                    found.more = True
                    break
        with translated(DEAD_LETTERS), pymongo.timeout(_SEARCH_TIMEOUT):
            for entry, readable in self._entries(person, set(found.events)):
                found.dead_letters.append(entry["_id"])
                found.reasons[str(entry.get("reason"))] += 1
                found.unreadable += not readable
                if len(found.dead_letters) == MOST:
                    found.more = True
                    break
        return found

    def delete_letters(self, ids: Sequence[Any]) -> int:
        """How many of them were still there."""
        return sum(_delete(self._letters, batch) for batch in _batches(ids))

    def delete_events(self, ids: Sequence[Any], before_each: Callable[[], None]) -> Iterator[int]:
        """Delete in batches, and say how many each was; `before_each` comes before a batch."""
        for batch in _batches(ids):
            before_each()
            yield _delete(self._events, batch)

    def _documents(self, person: Person) -> Iterator[Document]:
        # Without DBRef decoding: {"$ref", "$id"} are keys of a payload here.
        raw = self._events.with_options(codec_options=_RAW)
        for each in raw.find(query(person, by_subject=self._by_subject)):
            document: Document = plain(each)
            payload = payload_of(document)
            # The id is the one it was stored under, which the query compares itself.
            if self._is_of_type(payload, person) and (person.ids or person.fits(payload)):
                yield document

    def _entries(self, person: Person, events: set[Any]) -> Iterator[tuple[Document, bool]]:
        """Dead letters of the person or about their events, and whether that could be read."""
        wanted: Document = {}
        if person.event_type is not None:
            wanted = {"event_type": {"$in": [person.event_type, None]}}
        projection = dict.fromkeys(_LETTER_FIELDS, 1)
        for entry in self._letters.find(wanted, projection, batch_size=50):
            about = entry.get("document_id") in events or entry.get("resolved_by") in events
            readable = self._letter_fits(entry, person)
            if about or readable is not None:
                yield entry, readable is not False

    def _letter_fits(self, entry: Document, person: Person) -> bool | None:
        """True where it can be read and fits, False where its text alone says so; else None."""
        if any(each.wanted.fits(entry.get("event_id")) for each in person.ids):
            return True
        for name in ("original_payload", "edited_payload"):
            body = bytes(entry.get(name) or b"")
            payload = _read(body)
            if isinstance(payload, dict):
                if self._is_of_type(payload, person) and person.fits(payload):
                    return True
            elif person.may_fit(body.decode("utf-8", "replace")):
                return False
        return None

    def _is_of_type(self, payload: Document, person: Person) -> bool:
        return person.event_type in (None, self._type_of(payload))


def _read(body: bytes) -> Any:
    """What a body says, if need be as a repair reads it; None where it cannot be read."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        repaired = repair(body, safe_only=False)
    try:
        return msgspec.json.decode(repaired.body) if repaired else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _delete(collection: Collection[Document], batch: Sequence[Any]) -> int:
    with translated(collection.name), pymongo.timeout(_DELETE_TIMEOUT):
        return collection.delete_many({"_id": {"$in": list(batch)}}).deleted_count


def _batches(ids: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
