"""Erase all records of one person, so that a crash leaves nothing that a second run cannot end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from consumer.adoption.state import RecountMark
from consumer.core.data_dir import DataDirectory
from consumer.core.delivery import Delivery
from consumer.core.errors import SetupError
from consumer.events.recent import as_sent
from consumer.mongodb.client import Document
from consumer.privacy.name_erasure import FoundNames, NameErasure
from consumer.privacy.person_query import KeyPlace, Person, key_places, meta_of, payload_of
from consumer.privacy.person_records import FoundRecords, PersonRecords, SearchScope, Untouched
from consumer.schemas.check import CompiledSchema
from consumer.schemas.provenance import without_erased
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.spool.erase import erase_deliveries, erase_set_aside
from consumer.spool.survey import deliveries, directory_in

Search = Callable[[], FoundRecords]
Progress = Callable[[int], None]

# Searches after the first; what comes faster than it is deleted is reported.
_ROUNDS = 10
_AGAIN = "run this again"
_SPOOL = "spool of this machine"
_BY_PEOPLE = "pins, rejected changes"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row of the report: counts of a `kind` found in a place, removed, and left there, and why;
    `theirs`: it is known to be the person's."""

    place: str
    kind: str
    found: int
    removed: int
    stays: int
    why: str = ""
    theirs: bool = True


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """Counts of deleted records, and the findings of the last search (`left`) and of `all`."""

    events: int
    dead_letters: int
    all: FoundRecords
    left: FoundRecords


def erase(
    records: PersonRecords,
    mark: RecountMark,
    found: FoundRecords,
    search: Search,
    progress: Progress,
) -> ErasureResult:
    """Delete what was found, then what another search finds, until there is nothing more; in a
    bounded number of rounds.

    Dead letters go first, so that none becomes an event again. Before events are deleted it is
    noted that adoption must be counted again. `progress` gets the number of each batch of events.
    Raises StoreUnavailable; another call goes on from there.
    """
    events = dead_letters = rounds = 0
    total = FoundRecords()
    while found and rounds < _ROUNDS:
        dead_letters += records.delete_dead_letters(found.dead_letters)
        for count in records.delete_events(found.events, mark.set):
            events += count
            progress(count)
        total.subjects += found.subjects
        total.reasons += found.reasons
        total.by_text += found.by_text
        total.keys |= found.keys
        rounds += not found.more
        found = search()
    return ErasureResult(events, dead_letters, total, found)


def record_rows(found: FoundRecords, erased: ErasureResult | None) -> Iterator[ReportRow]:
    """Rows of the report on events and dead letters: before the deed, or after it."""
    all_, left = (erased.all, erased.left) if erased else (FoundRecords(), found)
    yield from _counted_rows("events", all_.subjects, left.subjects)
    if left.filled:
        kind, why = "where it is filled in", "perhaps: nothing stands below it" if erased else ""
        yield ReportRow("events", kind, left.filled, 0, left.filled, why, theirs=False)
    yield from _counted_rows("dead letters", all_.reasons, left.reasons)
    yield from _untouched_rows(left.untyped, "of no known type", "--also-unknown takes them too")
    yield from _untouched_rows(left.unread, "not to be read", "look at them with `dlq show`")
    if left.later:
        kind = "came after the start"
        yield ReportRow("events and dead letters", kind, left.later, 0, left.later, _AGAIN)


def _counted_rows(place: str, removed: Counter[str], left: Counter[str]) -> Iterator[ReportRow]:
    for kind, count in (removed + left).most_common():
        why = _AGAIN if removed and left[kind] else ""
        yield ReportRow(place, kind, count, removed[kind], left[kind], why)


def _untouched_rows(stays: Untouched, kind: str, why: str) -> Iterator[ReportRow]:
    if stays.count:
        named = ", ".join(stays.ids) + (", …" if stays.count > len(stays.ids) else "")
        yield ReportRow("dead letters", kind, stays.count, 0, stays.count, f"{why}: {named}", False)


class PersonNames:
    """A person's names in the schemas, with what was filled in under them, and their events as
    causes of changes. Methods raise StoreUnavailable.

    `only`: the one subject that may be touched. `await_others` waits until other processes
    know a version."""

    def __init__(
        self,
        names: NameErasure,
        registry: SchemaRegistry,
        person: Person,
        only: str | None,
        await_others: Callable[[], None],
    ) -> None:
        self._names = names
        self._registry = registry
        self._person = person
        self._await_others = await_others
        subjects = registry.subjects() if person.conditions else {}
        self._subjects = [each for each in subjects if only in (None, each)]
        self._at_first: dict[str, CompiledSchema] = {}

    def key_places(self) -> set[KeyPlace]:
        """Places where events may have a name of theirs as a key."""
        found: set[KeyPlace] = set()
        for subject in self._subjects if self._person.keys else ():
            head = self._registry.refreshed(subject)
            self._schema(subject)
            paths = (each.path for each in head.fields) if head else ()
            found |= key_places(subject, paths, self._person.keys)
        return found

    def as_sent(self, document: Document) -> Document:
        """The payload of a stored event without what was, or may have been, filled in."""
        schema = self._schema(str(meta_of(document).get("subject")))
        if schema.version is None:
            return payload_of(document)
        sent = as_sent(document, schema.version, schema.defaults)
        return without_erased(sent, document, schema.version, self._person.names.__contains__)

    def _schema(self, subject: str) -> CompiledSchema:
        """A subject's schema before any name was erased from it, which says what was filled in."""
        if subject not in self._at_first:
            self._at_first[subject] = self._registry.compiled(subject)
        return self._at_first[subject]

    def find(self, keys: Iterable[tuple[str, str]]) -> dict[str, FoundNames]:
        """Find the versions of each subject that name the person; `keys` are subject and id of
        events that are, or were, theirs."""
        causes = _by_subject(keys)
        found = {
            subject: self._names.find(
                subject,
                self._person.names.__contains__,
                causes.get(subject, set()).__contains__,
                self._person.of(subject).is_value,
            )
            for subject in sorted({*causes, *self._subjects})
        }
        return {subject: each for subject, each in found.items() if each}

    def erase(self, keys: Iterable[tuple[str, str]]) -> Iterator[ReportRow]:
        """Erase what `find` finds; rows of the report on it."""
        causes = _by_subject(keys)
        for subject, found in self.find(keys).items():
            is_cause = causes.get(subject, set()).__contains__
            try:
                done = self._names.erase(
                    subject,
                    self._person.names.__contains__,
                    is_cause,
                    self._await_others,
                    self._person.of(subject).is_value,
                )
            except SetupError as error:
                yield from self.untouched_rows({subject: found}, why=str(error))
                continue
            stays = found.versions - min(found.versions, done.rewritten)
            why = f"version {done.version} is without the name" if done.version else ""
            removed = found.versions - stays
            if found.versions:
                yield ReportRow("schema versions", subject, found.versions, removed, stays, why)
            if gone := found.by_people:
                yield ReportRow(_BY_PEOPLE, subject, gone, gone, 0)
            if count := done.documents + done.left:
                why = "their values are no longer those filled in" if done.left else ""
                place, kind = "events", f"{subject}, filled in under the name"
                yield ReportRow(place, kind, count, done.documents, done.left, why)

    def untouched_rows(self, found: dict[str, FoundNames], why: str = "") -> Iterator[ReportRow]:
        """Rows of the report where nothing was done."""
        for subject, each in found.items():
            for place, count in (("schema versions", each.versions), (_BY_PEOPLE, each.by_people)):
                if count:
                    yield ReportRow(place, subject, count, 0, count, why)


def _by_subject(keys: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    causes: dict[str, set[str]] = {}
    for subject, event_id in keys:
        causes.setdefault(subject, set()).add(event_id)
    return causes


def spool_rows(
    data_dir: Path, records: PersonRecords, person: Person, scope: SearchScope, *, remove: bool
) -> Iterator[ReportRow]:
    """Rows of the report on the spool of this machine and the damage set aside from it; removed
    where `remove` says so and no service has it open."""
    directory = directory_in(data_dir)
    if not directory.is_dir():
        return
    untyped = 0

    def fits(body: bytes, **more: object) -> bool:
        nonlocal untyped
        how = records.match_body(body, person, scope, **more)
        untyped += how == "untyped"
        return how in ("read", "text")

    def is_theirs(each: Delivery) -> bool:
        return fits(each.body, source=each.source, headers=each.headers)

    def damage_fits(data: bytes) -> bool:
        # Around the body stands what the record says of it.
        start, end = data.find(b"{"), data.rfind(b"}") + 1
        return fits(data[start:end] if 0 <= start < end else data)

    try:
        found = sum(is_theirs(each) for each in deliveries(directory))
        unknown, removed, why = untyped, 0, ""
        if remove:
            try:
                with DataDirectory(data_dir):
                    removed = erase_deliveries(directory, is_theirs)
            except SetupError as error:
                in_use = f"stays until drained, {_AGAIN}"
                why = in_use if "in use" in str(error) else str(error)
        if found:
            yield ReportRow(_SPOOL, "deliveries", found, removed, found - removed, why)
        if unknown:
            why = "--also-unknown takes them too"
            yield ReportRow(_SPOOL, "of no known type", unknown, 0, unknown, why, theirs=False)
        untyped = 0
        theirs, others = erase_set_aside(directory, damage_fits, remove=remove)
        others -= untyped
    except SetupError as error:
        yield ReportRow(_SPOOL, "not to be read", 0, 0, 0, str(error), theirs=False)
        return
    if theirs:
        gone = theirs if remove else 0
        yield ReportRow(_SPOOL, "damaged, set aside", theirs, gone, theirs - gone)
    if untyped:
        why = "--also-unknown takes them too"
        yield ReportRow(_SPOOL, "damaged, of no known type", untyped, 0, untyped, why, theirs=False)
    if others:
        why = "not found there, as far as damage can be read"
        yield ReportRow(_SPOOL, "damaged, of others", others, 0, others, why, theirs=False)
