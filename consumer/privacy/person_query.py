"""Ask MongoDB for the events of one person: all that are wanted, and few that are not.

What fits is decided on each document: a query cannot say everything that a path can.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from consumer.core.body_reader import BodyContent
from consumer.core.paths import ANY_KEY, ERASED, ITEM, RESERVED, Path, is_key, to_key
from consumer.events.matching import Condition, clauses_of
from consumer.mongodb.client import Document

# Of more, all documents are read.
_MOST_PLACES = 500
# Of so many places of a value a query asks.
_MOST_QUERIED = 50


@dataclass(frozen=True, slots=True)
class Person:
    """Whose events are meant: those with one of these `ids` (conditions on the field that holds the
    id), or those for which all `conditions` hold; of one type, where it is given. `aliases`: by
    subject the fields of which one is, or was, filled from the other."""

    ids: tuple[Condition, ...] = ()
    conditions: tuple[Condition, ...] = ()
    event_type: str | None = None
    aliases: Mapping[str, Collection[tuple[Path, Path]]] = field(default_factory=dict)

    def of(self, *subjects: str) -> Person:
        """The same, looked for in both fields of each alias of these subjects."""
        pairs = [pair for subject in subjects for pair in self.aliases.get(subject, ())]
        if not pairs:
            return self
        conditions = tuple(each.with_aliases(pairs) for each in self.conditions)
        return replace(self, conditions=conditions, aliases={})

    @property
    def names(self) -> frozenset[str]:
        """Names of the person in schemas: only where all the conditions are names, for one alone
        may be that of others."""
        return self.keys if all(each.as_name for each in self.conditions) else frozenset()

    @property
    def keys(self) -> frozenset[str]:
        """Names that one of the conditions would have for a key of events."""
        return frozenset(filter(None, (each.as_name for each in self.conditions)))

    def is_value(self, path: Path, value: Any) -> bool:
        """True for a value that people wrote for a path, if an event with nothing else would be
        theirs, or it holds what tells by itself whose it is."""
        if not self.conditions or value is None:
            return False
        payload = value
        for segment in reversed(path):
            payload = {to_key(segment): payload}
        return self.fits(payload) or not self.names.isdisjoint(_texts(value))

    def fits(self, payload: Any, *, sure: bool = True) -> bool:
        """True for a payload of theirs, whatever its type; unless `sure`, what stands for nothing
        below a key of theirs may have been filled in."""
        if self.ids:
            return any(each.holds(payload, sure=sure) for each in self.ids)
        return all(each.holds(payload, sure=sure) for each in self.conditions)

    def is_in(
        self, content: BodyContent, is_event: Callable[[Document], bool], *, sure: bool = True
    ) -> bool:
        """True for the content of a body, or of a payload, of theirs. An id counts in what stands
        in strings only where that `is_event` by itself, for other things have ids too."""
        if self.ids:
            events = [each for each in content.inner if isinstance(each, dict) and is_event(each)]
            return any(self.fits(each) for each in (*content.documents, *events))
        read = (*content.documents, *content.inner)
        return all(
            any(each.holds(document, sure=sure) for document in read) for each in self.conditions
        )

    def may_be_in(self, content: BodyContent) -> bool:
        """The same, with what could not be read as far as its text says so."""
        if self.ids:
            return any(each.may_hold(text) for each in self.ids for text in content.texts)
        read = (*content.documents, *content.inner)
        return all(
            any(each.holds(document) for document in read)
            or any(each.may_hold(text) for text in content.texts)
            for each in self.conditions
        )


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Place where documents of a subject may have a person's name as a key: the object at `path`,
    a path of literal keys; the document itself where that is empty."""

    subject: str
    path: Path = ()


def key_places(subject: str, fields: Iterable[Path], names: Collection[str]) -> set[KeyPlace]:
    """The places of a subject with these fields: where a name is known, and in maps, whose keys
    are not, and where one was erased."""
    found = set()
    for path in fields:
        for depth, segment in enumerate(path):
            if segment in (ANY_KEY, ERASED) or (is_key(segment) and to_key(segment) in names):
                found.add(KeyPlace(subject, tuple(_plain(path[:depth]))))
    return found


def query(
    person: Person, *, by_subject: bool, deep: bool = False, places: Collection[KeyPlace] = ()
) -> Document:
    """A filter on `events`, of the type alone for a `deep` search; with `by_subject` the type is
    the subject. `places` are those where names may stand."""
    clauses: list[Document] = []
    # What fits is decided by the subject of each document.
    person = person.of(*person.aliases)
    if person.ids and not deep:
        values = [value for each in person.ids for value in each.wanted.keys_in_bson()]
        clauses.append({"_meta.key": {"$in": values}})
    if person.event_type is not None and by_subject:
        clauses.append({"_meta.subject": person.event_type})
    for condition in () if deep else person.conditions:
        # Aliases of all subjects may be many: then the documents themselves are looked through.
        clause = clauses_of(condition) if len(condition.paths) <= _MOST_QUERIED else []
        if condition.as_name is not None and clause:
            clause = [{"$or": [{"$and": clause}, *_keyed(condition.as_name, places)]}]
        clauses += clause
    return {"$and": clauses} if clauses else {}


def _texts(value: Any) -> Iterator[str]:
    """All texts and keys in a value, and what else it holds as text."""
    if isinstance(value, Mapping):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    else:
        yield str(value)


def _keyed(name: str, places: Collection[KeyPlace]) -> Iterator[Document]:
    """Documents that may have the name as a key, at the top level or in what may hold it; those
    too of which no schema knows all."""
    # A dotted path cannot name a key with dots.
    top: Document = {"$getField": {"field": {"$literal": name}, "input": "$$ROOT"}}
    yield {"$expr": {"$ne": [{"$type": top}, "missing"]}}
    yield {"_meta.untracked": {"$exists": True}}
    yield {"_meta.shadowed": {"$exists": True}}
    if len(places) > _MOST_PLACES:
        yield {}
        return
    for place in sorted(places, key=lambda each: (each.subject, each.path)):
        wanted: Document = {"_meta.subject": place.subject}
        if place.path:
            wanted[".".join(place.path)] = {"$exists": True}
        yield wanted


def _plain(path: Path) -> Iterator[str]:
    """The keys of a path that a query can say, up to the first that it cannot."""
    for depth, segment in enumerate(path):
        if segment == ITEM and path[depth + 1 : depth + 2] != (ITEM,):
            # MongoDB looks through a list, but not through a list in a list.
            continue
        key = to_key(segment)
        if not is_key(segment) or not key or "." in key or key.startswith("$"):
            return
        yield key


def payload_of(document: Document) -> Document:
    """The payload of a stored event, with the fields that are kept aside."""
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    for each in meta_of(document).get("shadowed") or ():
        payload[each["name"]] = each["value"]
    return payload


def meta_of(document: Document) -> Document:
    """Metadata beside the payload; empty for a document that others put there."""
    meta = document.get("_meta")
    return meta if isinstance(meta, dict) else {}
