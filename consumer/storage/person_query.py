"""Ask MongoDB for the events of one person: all that are wanted, and few that are not.

What fits is decided on each document: a query cannot say everything that a path can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consumer.matching import Condition
from consumer.readings import Said
from consumer.schema.paths import RESERVED, is_key, is_reserved, to_key
from consumer.storage.mongo import Document


@dataclass(frozen=True, slots=True)
class Person:
    """Whose events are meant: those with one of these `ids` (conditions on the field that holds the
    id), or those for which all `conditions` hold; of one type, where it is given."""

    ids: tuple[Condition, ...] = ()
    conditions: tuple[Condition, ...] = ()
    event_type: str | None = None

    def fits(self, payload: Any) -> bool:
        """Whether a payload is one of them, whatever its type."""
        if self.ids:
            return any(each.holds(payload) for each in self.ids)
        return all(each.holds(payload) for each in self.conditions)

    def is_in(self, said: Said, is_event: Callable[[Document], bool]) -> bool:
        """Whether what was read of a body, or of a payload, is one of them. An id counts in what
        stands in strings only where that `is_event` by itself, for other things have ids too."""
        if self.ids:
            events = [each for each in said.inner if isinstance(each, dict) and is_event(each)]
            return any(self.fits(each) for each in (*said.documents, *events))
        read = (*said.documents, *said.inner)
        return all(any(each.holds(document) for document in read) for each in self.conditions)

    def may_be_in(self, said: Said) -> bool:
        """The same, with what could not be read as far as its text says so."""
        if self.ids:
            return any(each.may_hold(text) for each in self.ids for text in said.texts)
        read = (*said.documents, *said.inner)
        return all(
            any(each.holds(document) for document in read)
            or any(each.may_hold(text) for text in said.texts)
            for each in self.conditions
        )


def query(person: Person, *, by_subject: bool, deep: bool = False) -> Document:
    """A filter on `events`, of the type alone for a `deep` search; with `by_subject` the type is
    the subject."""
    clauses: list[Document] = []
    if person.ids and not deep:
        values = [value for each in person.ids for value in each.wanted.in_bson()]
        clauses.append({"_meta.key": {"$in": values}})
    if person.event_type is not None and by_subject:
        clauses.append({"_meta.subject": person.event_type})
    for condition in () if deep else person.conditions:
        clauses += _clause(condition)
    return {"$and": clauses} if clauses else {}


def payload_of(document: Document) -> Document:
    """The payload of a stored event, with the fields that are kept aside."""
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    for each in (document.get("_meta") or {}).get("shadowed") or ():
        payload[each["name"]] = each["value"]
    return payload


def _clause(condition: Condition) -> list[Document]:
    path = condition.path
    if is_key(path[0]) and is_reserved(to_key(path[0])):
        return [{"_meta.shadowed.name": to_key(path[0])}]
    keys = []
    for segment in path:
        # In a dotted path such a key would mean something else.
        key = to_key(segment)
        if not is_key(segment) or not key or "." in key or key.startswith("$"):
            break
        keys.append(key)
    if not keys:
        return []
    if len(keys) < len(path):
        return [{".".join(keys): {"$exists": True}}]
    # MongoDB looks through a list, but not through a list in a list.
    nested = [
        {".".join(keys[:count]): {"$elemMatch": {"$type": "array"}}}
        for count in range(1, len(keys) + 1)
    ]
    return [{"$or": [{".".join(keys): {"$in": condition.wanted.in_bson()}}, *nested]}]
