"""Find and delete the records of one person: events and dead letters."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database

from consumer.core.body_reader import read_body, read_document
from consumer.core.delivery import MAIN, source_of
from consumer.events.documents import plain
from consumer.events.keys import COLLECTION_SUBJECT
from consumer.mongodb.client import DEAD_LETTERS, EVENTS, RAW, Document
from consumer.mongodb.deadline import soon, unhurried
from consumer.mongodb.errors import translated
from consumer.mongodb.leases import CLAIM, UNCLAIMED
from consumer.privacy.person_query import KeyPlace, Person, meta_of, payload_of, query

# Of source, body and headers the id, of several their JSON list, and the type.
Identify = Callable[[str, bytes, Mapping[str, str]], tuple[Any, str | None]]

# What one search remembers; another one finds the rest.
MOST = 100_000
# So many dead letters that are left alone are named.
NAMED = 20
_BATCH = 500
# Between two looks at dead letters that are being tried. A claim that nobody ends is over after
# CLAIM; an attempt that goes on all the same takes its event back.
_LOOK_EVERY = 0.25
_CLAIM_WAIT = CLAIM.total_seconds() + 15.0
_DEAD_LETTER_FIELDS = (
    *("original_payload", "edited_payload", "event_id", "event_type", "reason", "timestamp"),
    *("document_id", "resolved_by", "source", "as_source", "headers"),
)


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Extent of a search. `deep`: every event is read, for what stands in strings no query sees;
    `also_unknown`: of one type, and dead letters whose type nobody knows. What was received after
    `until` is counted, not found."""

    deep: bool = False
    also_unknown: bool = False
    until: datetime | None = None


@dataclass(slots=True)
class Untouched:
    """Dead letters that are left alone: their count, and the first of them by `_id`."""

    count: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, _id: Any) -> None:
        self.count += 1
        if len(self.ids) < NAMED:
            self.ids.append(str(_id))


@dataclass(slots=True)
class FoundRecords:
    """Findings of a search: `_id`s, and counts of events by subject and of dead letters by reason.

    `by_text` of the dead letters could be searched as text only. `unread`: those that do not fit as
    far as they can be read, which is not wholly; `untyped`: those that fit and may be of another
    type. `filled`: events where only what was filled in says so. `keys`: subject and id of each
    event. `later`: what came after the time up to which it was looked. `more`: there is more than a
    search remembers. A deep one says how many events it `read` in how many `seconds`.
    """

    events: list[Any] = field(default_factory=list)
    dead_letters: list[Any] = field(default_factory=list)
    subjects: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    by_text: int = 0
    unread: Untouched = field(default_factory=Untouched)
    untyped: Untouched = field(default_factory=Untouched)
    filled: int = 0
    keys: set[tuple[str, str]] = field(default_factory=set)
    later: int = 0
    more: bool = False
    read: int = 0
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.events or self.dead_letters)


class PersonRecords:
    """The collections `events` and `dead_letter_queue`; methods raise StoreUnavailable.

    `type_of` reads the type of a payload, None where it has none; `by_subject`: the subject of an
    event is its type; `as_sent` gives the payload of a stored event without what was filled in;
    `identify` reads id and type of a body as another source than the main one does.
    """

    def __init__(
        self,
        db: Database[Document],
        type_of: Callable[[Document], str | None],
        *,
        by_subject: bool,
        as_sent: Callable[[Document], Document] = payload_of,
        identify: Identify = lambda *_: (None, None),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._events = db[EVENTS]
        self._dead_letters = db[DEAD_LETTERS]
        self._type_of = type_of
        self._by_subject = by_subject
        self._as_sent = as_sent
        self._identify = identify
        self._sleep = sleep

    def count(self) -> int:
        """Estimate the number of events."""
        with translated(EVENTS):
            return self._events.estimated_document_count()

    def find(
        self,
        person: Person,
        scope: SearchScope = SearchScope(),
        places: Collection[KeyPlace] = (),
        on_read: Callable[[], object] = lambda: None,
    ) -> FoundRecords:
        """Everything of a person, or the first of very much. `places` are those where events may
        have the person's name as a key; `on_read` is called for each event that is read."""
        found = FoundRecords()
        started = time.monotonic()
        wanted = query(person, by_subject=self._by_subject, deep=scope.deep, places=places)
        with translated(EVENTS), unhurried():
            self._find_events(wanted, person, scope, found, on_read)
        found.seconds = time.monotonic() - started
        with translated(DEAD_LETTERS), unhurried():
            became = self._find_dead_letters(person, scope, found)
        with translated(EVENTS), unhurried():
            # What only a deep search would find: a dead letter leads to it.
            for batch in _batches(list(became - set(found.events))):
                for document in self._documents({"_id": {"$in": list(batch)}}):
                    if self._fits(document, replace(scope, deep=True), person):
                        self._add_event(document, found)
        return found

    def delete_dead_letters(self, ids: Sequence[Any]) -> int:
        """Delete dead letters, and count those that were still there. One that is being tried is
        waited for: its attempt would go on, and make an event of it."""
        gone = 0
        for batch in _batches(ids):
            waited = 0.0
            wanted = {"_id": {"$in": list(batch)}}
            while True:
                tried = {} if waited > _CLAIM_WAIT else {"$expr": UNCLAIMED}
                gone += _delete(self._dead_letters, {**wanted, **tried})
                with translated(DEAD_LETTERS), soon(self._dead_letters):
                    if not tried or self._dead_letters.find_one(wanted, {"_id": 1}) is None:
                        break
                self._sleep(_LOOK_EVERY)
                waited += _LOOK_EVERY
        return gone

    def delete_events(self, ids: Sequence[Any], before_each: Callable[[], None]) -> Iterator[int]:
        """Delete in batches, and say how many each was; `before_each` comes before a batch."""
        for batch in _batches(ids):
            before_each()
            yield _delete(self._events, {"_id": {"$in": list(batch)}})

    def _find_events(
        self,
        wanted: Document,
        person: Person,
        scope: SearchScope,
        found: FoundRecords,
        on_read: Callable[[], object],
    ) -> None:
        for document in self._documents(wanted):
            found.read += 1
            on_read()
            fits = self._fits(document, scope, person)
            found.filled += fits is None
            if not fits:
                continue
            if _is_later(meta_of(document).get("received_at"), scope):
                found.later += 1
                continue
            self._add_event(document, found)
            if found.more:
                break

    def _add_event(self, document: Document, found: FoundRecords) -> None:
        meta = meta_of(document)
        found.events.append(document["_id"])
        found.subjects[str(meta.get("subject"))] += 1
        found.keys.add((str(meta.get("subject")), str(meta.get("key"))))
        found.more = found.more or len(found.events) >= MOST

    def _documents(self, wanted: Document) -> Iterator[Document]:
        # Without DBRef decoding: {"$ref", "$id"} are keys of a payload here.
        raw = self._events.with_options(codec_options=RAW)
        for each in raw.find(wanted):
            yield plain(each)

    def _fits(self, document: Document, scope: SearchScope, person: Person) -> bool | None:
        """True for an event of the person's; None where only what was, or may have been, filled in
        says so."""
        meta = meta_of(document)
        payload = payload_of(document)
        other = "source" in meta
        type_ = meta.get("subject") if other and self._by_subject else self._type_of(payload)
        if person.event_type not in (None, type_):
            return False
        if any(each.wanted.fits_key(meta.get("key")) for each in person.ids):
            return True
        if other and person.ids:
            # Where its id stands is another place.
            return False
        person = person.of(str(meta.get("subject")))
        if not self._holds(payload, scope, person, sure=True):
            return False
        sure = not meta.get("untracked")
        return self._holds(self._as_sent(document), scope, person, sure=sure) or None

    def _holds(self, payload: Document, scope: SearchScope, person: Person, *, sure: bool) -> bool:
        if scope.deep:
            return person.is_in(read_document(payload), self._is_event, sure=sure)
        return not person.ids and person.fits(payload, sure=sure)

    def _find_dead_letters(
        self, person: Person, scope: SearchScope, found: FoundRecords
    ) -> set[Any]:
        """Dead letters of the person or about their events; the `_id`s of what they became."""
        became, events = set(), set(found.events)
        projection = dict.fromkeys(_DEAD_LETTER_FIELDS, 1)
        for entry in self._dead_letters.find(self._of_type(person), projection, batch_size=50):
            about = entry.get("document_id") in events or entry.get("resolved_by") in events
            fits, read, type_ = self._match_dead_letter(entry, person)
            if person.event_type is not None and not about:
                if type_ not in (None, person.event_type):
                    continue
                if fits and type_ is None and not scope.also_unknown:
                    found.untyped.add(entry["_id"])
                    continue
            if not fits and not about:
                if not read:
                    found.unread.add(entry["_id"])
                continue
            if _is_later(entry.get("timestamp"), scope):
                found.later += 1
                continue
            if entry.get("resolved_by") is not None:
                became.add(entry["resolved_by"])
            if entry.get("event_id") is not None:
                subject = type_ if self._by_subject else COLLECTION_SUBJECT
                found.keys.add((str(subject), str(entry["event_id"])))
            found.dead_letters.append(entry["_id"])
            found.reasons[str(entry.get("reason"))] += 1
            found.by_text += fits == "text"
            if len(found.dead_letters) == MOST:
                found.more = True
                break
        return became

    def _of_type(self, person: Person) -> Document:
        if person.event_type is None:
            return {}
        types = [person.event_type, None]
        # Where all types are one subject, the entries of a backfill have its name for a type.
        return {"$or": [{"event_type": {"$in": types}}, {"document_id": {"$exists": True}}]}

    def match_body(
        self, body: bytes, person: Person, scope: SearchScope, **more: object
    ) -> str | None:
        """Match a body from elsewhere: `read`, by its `text`, `untyped` where it may be of another
        type, or not at all (None). `more`: its `source` and `headers`."""
        fits, _, type_ = self._match_dead_letter({"original_payload": body, **more}, person)
        if person.event_type is not None and fits:
            if type_ is None and not scope.also_unknown:
                return "untyped"
            if type_ not in (None, person.event_type):
                return None
        return fits or None

    def _match_dead_letter(self, entry: Document, person: Person) -> tuple[str, bool, str | None]:
        """Match a dead letter: `read`, by its `text` alone, or not (empty); True beside it where
        all of it could be read; and its type."""
        keys, type_ = [entry.get("event_id")], entry.get("event_type")
        source = source_of(entry)
        fits, whole = "", True
        for name in ("original_payload", "edited_payload"):
            body = bytes(entry[name]) if isinstance(entry.get(name), bytes) else b""
            found = read_body(body)
            whole = whole and found.whole
            if source != MAIN and body:
                key, own = self._identify(source, body, entry.get("headers") or {})
                keys.append(key)
                type_ = type_ or own
                if person.ids and whole:
                    continue
            for each in found.documents:
                if type_ is None and isinstance(each, dict):
                    type_ = self._type_of(each)
            if not fits:
                theirs = person.of(str(type_) if self._by_subject else COLLECTION_SUBJECT)
                if theirs.is_in(found, self._is_event):
                    fits = "read"
                elif theirs.may_be_in(found):
                    fits = "text"
        if any(each.wanted.fits_key(key) for each in person.ids for key in keys):
            fits = "read"
        return fits, whole, type_

    def _is_event(self, payload: Document) -> bool:
        return self._type_of(payload) is not None


def _is_later(at: Any, scope: SearchScope) -> bool:
    return scope.until is not None and isinstance(at, datetime) and at > scope.until


def _delete(collection: MongoCollection[Document], wanted: Document) -> int:
    with translated(collection.name), soon(collection):
        return collection.delete_many(wanted).deleted_count


def _batches(ids: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
