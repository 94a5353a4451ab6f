"""Make the next version of a subject from its head and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from consumer.schema import jsontypes
from consumer.schema.model import Change, Field, SchemaVersion
from consumer.schema.paths import Path
from consumer.schema.shape import Shape, map_path, walk


def evolve(
    head: SchemaVersion | None,
    shape: Shape,
    *,
    subject: str,
    number: int,
    changes: Iterable[Change],
    now: datetime,
) -> SchemaVersion:
    """Version `number`, whose live paths and types are those of `shape`, the join of the head with
    what was found.

    Positions are kept and new paths appended; a `*` inherits for each type the lowest `since` of
    what it absorbs. When `head` itself has this number it is a draft that grows.
    """
    found = {path: node.types for path, node in walk(shape)}
    fields: list[Field] = []
    absorbed: dict[Path, list[Field]] = {}
    known: set[Path] = set()
    for field in head.fields if head else ():
        if field.absorbed is None and field.path not in found:
            absorbed.setdefault(map_path(field.path, shape), []).append(field)
            fields.append(Field(field.path, field.since, field.types, absorbed=number))
        elif field.absorbed is None:
            known.add(field.path)
            fields.append(_field(field.path, found[field.path], [field], number))
        else:
            fields.append(field)
    fields += [
        _field(path, types, absorbed.get(path, []), number)
        for path, types in found.items()
        if path not in known
    ]
    earlier = head.changes if head and head.number == number else ()
    return SchemaVersion(subject, number, tuple(fields), (*earlier, *changes), now)


def _field(path: Path, types: int, sources: list[Field], number: int) -> Field:
    """The entry of a path that takes over `sources`; the types that none of them has are new."""
    since: dict[str, int] = {}
    for source in sources:
        for name, version in source.types.items():
            since[name] = min(version, since.get(name, version))
    for name in jsontypes.bits(types):
        since.setdefault(name, number)
    return Field(path, min([source.since for source in sources], default=number), since)
