"""Schema versions: immutable, numbered, and how they stand in MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from consumer.schema import jsontypes
from consumer.schema.jsontypes import OBJECT
from consumer.schema.paths import Path, is_fillable
from consumer.schema.shape import Shape

ChangeClass = Literal["field_added", "type_widened", "type_conflict", "became_map"]


@dataclass(frozen=True, slots=True)
class Field:
    """A known path; `types` tells the version that first knew each type.

    An integer stays beside a later number, so that integers keep exhibiting the older version.
    `absorbed` is the version in which a `*` took the path over; the entry keeps its position.
    """

    path: Path
    since: int
    types: Mapping[str, int]
    absorbed: int | None = None

    @property
    def mask(self) -> int:
        return jsontypes.mask(self.types)


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a version; `before` and `after` are masks, `before` None for a path not known."""

    kind: ChangeClass
    path: Path
    before: int | None
    after: int
    caused_by: str = ""

    def to_document(self) -> dict[str, object]:
        """The change with its types as lists of names."""
        return {
            "class": self.kind,
            "path": list(self.path),
            "from": None if self.before is None else list(jsontypes.bits(self.before)),
            "to": list(jsontypes.bits(self.after)),
            "caused_by": self.caused_by,
        }


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One version of a subject. Positions in `fields` never change from version to version, for
    documents refer to them."""

    subject: str
    number: int
    fields: tuple[Field, ...]
    changes: tuple[Change, ...]
    created_at: datetime

    @property
    def live(self) -> tuple[Field, ...]:
        """The fields that no `*` absorbed."""
        return tuple(field for field in self.fields if field.absorbed is None)

    @property
    def newest_fillable(self) -> int:
        """The highest version that added a path which can be filled; 0 if none ever did."""
        fillable = (field.since for field in self.live if is_fillable(field.path))
        return max(fillable, default=0)

    def to_document(self) -> dict[str, Any]:
        """The document of the collection `schema_versions`."""
        return {
            "_id": {"subject": self.subject, "version": self.number},
            "fields": [_field_document(field) for field in self.fields],
            "changes": [change.to_document() for change in self.changes],
            "created_at": self.created_at,
        }


def from_document(document: Mapping[str, Any]) -> SchemaVersion:
    """The version of a document of `schema_versions`; raises KeyError, TypeError or ValueError when
    it is none of ours."""
    return SchemaVersion(
        subject=document["_id"]["subject"],
        number=int(document["_id"]["version"]),
        fields=tuple(
            Field(
                path=tuple(field["path"]),
                since=int(field["since"]),
                types={name: int(since) for name, since in field["types"].items()},
                absorbed=field.get("absorbed"),
            )
            for field in document["fields"]
        ),
        changes=tuple(map(change_of, document["changes"])),
        created_at=document["created_at"],
    )


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


def _field_document(field: Field) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": list(field.path),
        "since": field.since,
        "types": dict(field.types),
    }
    if field.absorbed is not None:
        document["absorbed"] = field.absorbed
    return document


def change_of(document: Mapping[str, Any]) -> Change:
    """The change of a document that `to_document` wrote; raises as `from_document` does."""
    before = document["from"]
    return Change(
        kind=document["class"],
        path=tuple(document["path"]),
        before=None if before is None else jsontypes.mask(before),
        after=jsontypes.mask(document["to"]),
        caused_by=document["caused_by"],
    )
