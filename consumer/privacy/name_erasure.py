"""Take names out of a subject's schema, and what was filled in under them out of its documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, starmap
from typing import Any

from pymongo.collection import Collection

from consumer.core.paths import Path
from consumer.events.documents import as_stored
from consumer.events.take_out import MOST, TakeOut, take_out_pipeline
from consumer.mongodb import stored_format
from consumer.mongodb.client import (
    EVENTS,
    READERS,
    REJECTED_CHANGES,
    SCHEMA_VERSIONS,
    SIMPLE,
    Document,
    OurDatabase,
)
from consumer.mongodb.deadline import soon, unhurried
from consumer.mongodb.errors import translated
from consumer.readers.objections import RejectedChanges
from consumer.readers.pins import Pins
from consumer.schemas.manual_changes import (
    IsTheirs,
    erase_names,
    erased_alias,
    nobodys,
    without_names,
)
from consumer.schemas.model import Field, SchemaVersion
from consumer.schemas.origin import Leaving
from consumer.schemas.provenance import leaving_of
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.versions import SchemaVersions
from consumer.signals.store import Signals

# Says of a key, or of the id of an event that caused a change, whether it is to go.
Fits = Callable[[str], bool]

# The format of databases whose versions may hold erased names.
_FORMAT = 2
_BATCH = 500


@dataclass(frozen=True, slots=True)
class FoundNames:
    """By position, the fields as they were called; how many changes name one of them or were caused
    by one of the events; the versions that say so; the values that aliases fill and are to go;
    whether any alias is; and how many pins and rejected changes."""

    fields: dict[int, Field]
    changes: int
    versions: int
    values: Mapping[Path, list[Any]]
    aliases: bool = False
    by_people: int = 0

    def __bool__(self) -> bool:
        return bool(self.fields or self.changes or self.aliases or self.by_people)


@dataclass(frozen=True, slots=True)
class NameErasureResult:
    """The version from which the names are gone (None: no field held one), how many documents lost
    what was filled in under them, in how many something stays, and how many versions were
    rewritten."""

    version: int | None
    documents: int
    left: int
    rewritten: int


class NameErasure:
    """The schema and the documents of subjects. Each method raises StoreUnavailable, and may be
    called again where it was cut off."""

    def __init__(self, db: OurDatabase, registry: SchemaRegistry) -> None:
        self._db = db
        self._registry = registry
        self._versions = SchemaVersions(db[SCHEMA_VERSIONS])
        self._pins = Pins(db[READERS])
        self._rejected = RejectedChanges(db[REJECTED_CHANGES])

    def find(
        self, subject: str, is_name: Fits, is_cause: Fits, is_theirs: IsTheirs = nobodys
    ) -> FoundNames:
        """Find what versions of a subject say of these names, of changes that these events caused,
        and of values that are theirs; reads all of them."""
        fields: dict[int, Field] = {}
        values: dict[Path, list[Any]] = {}
        changes = versions = 0
        aliases = False
        for version in self._versions.history(subject):
            named = {
                position: field
                for position, field in enumerate(version.fields)
                if without_names(field.path, is_name) != field.path
            }
            caused = sum(
                without_names(change.path, is_name) != change.path
                or bool(change.caused_by and is_cause(change.caused_by))
                for change in version.changes
            )
            gone = [a for a in version.aliases if erased_alias(a, is_name, is_theirs, 0) is not a]
            aliased = bool(gone)
            for each in gone:
                if each.new is None:
                    values.setdefault(each.old, []).append(each.value)
            fields |= named
            changes += caused
            versions += bool(named or caused or aliased)
            aliases = aliases or aliased

        def is_named(path: Path) -> bool:
            return without_names(path, is_name) != path

        by_people = sum(
            any(map(is_named, pin.paths)) or any(starmap(is_theirs, pin.defaults.values.items()))
            for pin in self._pins.all(subject)
        )
        by_people += sum(is_named(each.change.path) for each in self._rejected.all(subject))
        return FoundNames(fields, changes, versions, values, aliases, by_people)

    def erase(
        self,
        subject: str,
        is_name: Fits,
        is_cause: Fits,
        await_others: Callable[[], None],
        is_theirs: IsTheirs = nobodys,
    ) -> NameErasureResult:
        """Take out what `find` finds, in an order that a crash does not harm.

        First a version without the names, on which every writer must build; then, once
        `await_others` has waited until other processes know it, what was filled in under them; last
        the older versions, which alone still say what to look for. Raises SetupError while a
        process lives that does not know such versions.
        """
        found = self.find(subject, is_name, is_cause, is_theirs)
        made = documents = left = 0
        if found.fields or found.aliases:
            stored_format.require(self._db, _FORMAT)
            head, ours = self._registry.change(
                subject, lambda head, now: erase_names(head, is_name, now, is_theirs)
            )
            if ours:
                await_others()
            erased = (head.fields[position].erased or 0 for position in found.fields)
            made = max(erased, default=head.number)
            defaults = self._registry.compiled(subject).defaults
            leaving = [*leaving_of(found.fields, head, defaults)]
            for path, values in found.values.items():
                filled = {at: e for at, e in enumerate(head.fields) if e.path == path}
                own = leaving_of(filled, head, defaults)
                leaving += (replace(filling, values=values) for filling in own)
            documents, left = _take_out(self._db[EVENTS], subject, leaving)
        Signals(self._db).forget(subject, lambda path: without_names(path, is_name) != path)
        rewritten = self._versions.rewrite(
            subject, lambda version: _rewriting(version, is_name, is_cause, is_theirs, made)
        )
        # Their views show the paths of older versions.
        self._pins.take_out(subject, lambda path: without_names(path, is_name), is_theirs)
        for each in self._rejected.all(subject):
            if without_names(each.change.path, is_name) != each.change.path:
                self._rejected.revoke(each)
        return NameErasureResult(made or None, documents, left, rewritten)


def _rewriting(
    version: SchemaVersion, is_name: Fits, is_cause: Fits, is_theirs: IsTheirs, number: int
) -> Document:
    """Values to set in a version, by dotted path; entry by entry, for others may do the same for
    other names."""
    changed: Document = {}
    for position, field in enumerate(version.fields):
        path = without_names(field.path, is_name)
        if path != field.path:
            place = f"fields.{position}"
            changed[f"{place}.path"] = list(path)
            changed[f"{place}.erased"] = number
            if field.absorbed is None:
                changed[f"{place}.absorbed"] = number
    for index, alias in enumerate(version.aliases):
        if (gone := erased_alias(alias, is_name, is_theirs, number)) is not alias:
            changed[f"aliases.{index}"] = gone.to_document()
    for index, change in enumerate(version.changes):
        path = without_names(change.path, is_name)
        if path != change.path:
            changed[f"changes.{index}.path"] = list(path)
        if change.caused_by and (path != change.path or is_cause(change.caused_by)):
            changed[f"changes.{index}.caused_by"] = ""
    return changed


def _take_out(
    events: Collection[Document], subject: str, fields: Iterable[Leaving]
) -> tuple[int, int]:
    """Take what was filled in at these fields out of all documents of the subject: how many lost
    something, and in how many something stays."""
    documents = left = 0
    # Sent or not, what is no more than would be filled in says nothing of whoever sent it.
    for plan in _plans([replace(each, unsure_below=0) for each in fields]):
        of_subject = {"_meta.subject": subject}
        with translated(EVENTS), unhurried():
            holders = (each["_id"] for each in events.find({**of_subject, **plan.held}, {"_id": 1}))
            while batch := list(islice(holders, _BATCH)):
                wanted = {"_id": {"$in": batch}, **of_subject}
                with soon(events):
                    # Said here, for a filter by `_id` would say nothing, and keys are compared.
                    left += events.count_documents({**wanted, **plan.left}, collation=SIMPLE)
                    done = events.update_many(wanted, plan.stages, collation=SIMPLE)
                    documents += done.modified_count
    return documents, left


def _plans(fields: Sequence[Leaving]) -> Iterator[TakeOut]:
    """As many commands as it takes, what lies deepest in the first."""
    stored = [replace(each, values=as_stored(each.values)) for each in fields]
    for start in range(0, len(stored), MOST):
        plan = take_out_pipeline(stored[start : start + MOST])
        if plan is not None:
            yield plan
