"""Schema versions: immutable, numbered, and as documents of MongoDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as of_class
from datetime import datetime
from typing import Any

from consumer.core.paths import ANY_KEY, ITEM, Path, is_fillable
from consumer.schemas import json_types
from consumer.schemas.json_types import OBJECT
from consumer.schemas.shape import Shape

# The classes of changes that people make: they add no path and no type, whatever was sent.
BY_HAND = frozenset({"field_retired", "map_undone", "name_erased", "alias_added", "alias_removed"})
# What an entry of `fields` may say beside its path, `since` and `types`, each a version.
_MARKS = ("absorbed", "retired", "object", "fill_from", "erased")
_KNOWN = frozenset({"path", "since", "types", *_MARKS})


@dataclass(frozen=True, slots=True)
class Field:
    """A known path; `types` tells the version that first knew each type.

    An integer stays beside a later number, so that integers keep exhibiting the older version.
    The marks are versions. `absorbed`: from then on the path is not live, for a `*` took it over,
    or it was part of a map that was undone, or its name was erased; the entry keeps its position.
    `erased`: then a name in the path became ERASED. `retired`: it is not filled any more.
    `pinned`: the object was pinned against becoming a map. `refilled`: from there on the backfill
    fills, where that is not `since`. `extra` is what newer programs say of the entry, kept as is.
    """

    path: Path
    since: int
    types: Mapping[str, int]
    absorbed: int | None = None
    retired: int | None = None
    pinned: int | None = None
    refilled: int | None = None
    erased: int | None = None
    extra: Mapping[str, Any] = of_class(default_factory=dict)

    @property
    def mask(self) -> int:
        return json_types.mask(self.types)

    @property
    def fill_from(self) -> int:
        """Documents stamped below it get the field from the backfill."""
        return self.since if self.refilled is None else self.refilled

    @property
    def is_filled(self) -> bool:
        """True for a field that documents which lack it are given."""
        return self.absorbed is None and self.retired is None and is_fillable(self.path)

    def to_document(self) -> dict[str, Any]:
        """The entry of `fields`; marks that say nothing are left out."""
        marks = (self.absorbed, self.retired, self.pinned, self.refilled, self.erased)
        marked = {name: mark for name, mark in zip(_MARKS, marks, strict=True) if mark is not None}
        known = {"path": list(self.path), "since": self.since, "types": dict(self.types)}
        return {**self.extra, **known, **marked}


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a version; `before` and `after` are masks, `before` None for a path not known.
    `kind` may be a class that only newer programs know."""

    kind: str
    path: Path
    before: int | None
    after: int
    caused_by: str = ""

    def to_document(self) -> dict[str, object]:
        """The change with its types as lists of names."""
        return {
            "class": self.kind,
            "path": list(self.path),
            "from": None if self.before is None else list(json_types.bits(self.before)),
            "to": list(json_types.bits(self.after)),
            "caused_by": self.caused_by,
        }


@dataclass(frozen=True, slots=True)
class Alias:
    """A field that events lack is filled at `old` from what they have at `new`, or without one
    with `value`: from version `since` on, and up to `until`, which ended it."""

    old: Path
    new: Path | None
    value: Any
    since: int
    until: int | None = None

    def to_document(self) -> dict[str, Any]:
        """The entry of `aliases`."""
        source = {"value": self.value} if self.new is None else {"from": list(self.new)}
        ended = {} if self.until is None else {"until": self.until}
        return {"old": list(self.old), **source, "since": self.since, **ended}


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One version of a subject. Positions in `fields` never change from version to version, for
    documents refer to them. `aliases` has those that ended, too: they say what documents hold."""

    subject: str
    number: int
    fields: tuple[Field, ...]
    changes: tuple[Change, ...]
    created_at: datetime
    aliases: tuple[Alias, ...] = ()

    @property
    def live(self) -> tuple[Field, ...]:
        """The fields that no `*` absorbed and nobody erased."""
        return tuple(field for field in self.fields if field.absorbed is None)

    @property
    def aliases_in_force(self) -> tuple[Alias, ...]:
        """The aliases that nobody ended, and whose field is filled at all."""
        going_on = [alias for alias in self.aliases if alias.until is None]
        filled = {field.path for field in self.fields if field.is_filled} if going_on else set()
        return tuple(alias for alias in going_on if alias.old in filled)

    @property
    def newest_fillable(self) -> int:
        """The highest version that added a path which can be filled, or an alias for one; 0 if none
        ever did."""
        added = max((field.fill_from for field in self.fields if field.is_filled), default=0)
        return max(added, *(alias.since for alias in self.aliases_in_force), 0)

    @property
    def due(self) -> int:
        """Documents filled to less wait for the backfill: the highest version that added a path
        which can be filled, or retired one whose fillings they may hold."""
        retired = (
            field.retired
            for field in self.fields
            if field.retired is not None and field.retired > field.since and is_fillable(field.path)
        )
        return max(self.newest_fillable, max(retired, default=0))

    @property
    def newest_added(self) -> int:
        """The highest version that added a path or a type, which payloads can exhibit."""
        return max((max(field.since, *field.types.values(), 0) for field in self.live), default=0)

    @property
    def pinned_objects(self) -> frozenset[Path]:
        """The objects that people pinned against becoming maps."""
        return frozenset(field.path for field in self.live if field.pinned is not None)

    @property
    def maps(self) -> frozenset[Path]:
        """The objects that are maps."""
        return frozenset(field.path[:-1] for field in self.live if field.path[-1] == ANY_KEY)

    def to_document(self) -> dict[str, Any]:
        """The document of the collection `schema_versions`."""
        aliases = [alias.to_document() for alias in self.aliases]
        return {
            "_id": {"subject": self.subject, "version": self.number},
            "fields": [field.to_document() for field in self.fields],
            **({"aliases": aliases} if aliases else {}),
            "changes": [change.to_document() for change in self.changes],
            "created_at": self.created_at,
        }


def from_document(document: Mapping[str, Any]) -> SchemaVersion:
    """The version of a document of `schema_versions`; raises KeyError, TypeError or ValueError when
    it is none of ours."""
    return SchemaVersion(
        subject=document["_id"]["subject"],
        number=int(document["_id"]["version"]),
        fields=tuple(map(_field_of, document["fields"])),
        changes=tuple(map(change_of, document["changes"])),
        created_at=document["created_at"],
        aliases=tuple(map(alias_of, document.get("aliases") or ())),
    )


def first_items(fields: Iterable[Field]) -> dict[Path, int]:
    """The arrays that had an item, each with the version that first knew one."""
    return {field.path[:-1]: field.since for field in fields if field.path[-1] == ITEM}


def is_by_hand(changes: Iterable[Change]) -> bool:
    """True for the changes of a version that people made: no event brought anything."""
    return all(change.kind in BY_HAND for change in changes)


def shape_of(version: SchemaVersion | None) -> Shape:
    """The tree of the live fields; for no version the empty object."""
    root = Shape(OBJECT, {})
    # A parent stands before its children nearly always; not after a map was made above it.
    for field in sorted(version.live if version else (), key=lambda field: len(field.path)):
        node = root
        for segment in field.path[:-1]:
            node = node.children[segment]
        node.children[field.path[-1]] = Shape(field.mask, {})
    return root


def _field_of(document: Mapping[str, Any]) -> Field:
    return Field(
        path=tuple(document["path"]),
        since=int(document["since"]),
        types={name: int(since) for name, since in document["types"].items()},
        absorbed=document.get("absorbed"),
        retired=document.get("retired"),
        pinned=document.get("object"),
        refilled=document.get("fill_from"),
        erased=document.get("erased"),
        extra={name: value for name, value in document.items() if name not in _KNOWN},
    )


def alias_of(document: Mapping[str, Any]) -> Alias:
    """The alias of an entry that `to_document` wrote; raises as `from_document` does."""
    source = document.get("from")
    return Alias(
        old=tuple(document["old"]),
        new=None if source is None else tuple(source),
        value=document.get("value"),
        since=int(document["since"]),
        until=document.get("until"),
    )


def change_of(document: Mapping[str, Any]) -> Change:
    """The change of a document that `to_document` wrote, or a newer program; raises as
    `from_document` does."""
    before = document.get("from")
    return Change(
        kind=document["class"],
        path=tuple(document["path"]),
        before=None if before is None else json_types.mask(before),
        after=json_types.mask(document.get("to") or ()),
        caused_by=document.get("caused_by") or "",
    )
