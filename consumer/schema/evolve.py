"""Make the next version of a subject from its head and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from consumer.schema import jsontypes
from consumer.schema.model import Change, Field, SchemaVersion
from consumer.schema.paths import ANY_KEY, Path
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

    Positions are kept and new paths appended, and what is said of an entry stays, known here or
    not; a `*` inherits for each type the lowest `since` of what it absorbs. When `head` itself has
    this number it is a draft that grows.
    """
    found = dict(walk(shape))
    fields: list[Field] = []
    absorbed: dict[Path, list[Field]] = {}
    retired: dict[Path, int] = {}
    known: set[Path] = set()
    for field in head.fields if head else ():
        if field.absorbed is not None:
            fields.append(field)
        elif field.path not in found:
            absorbed.setdefault(map_path(field.path, shape), []).append(field)
            fields.append(replace(field, absorbed=number))
        else:
            known.add(field.path)
            mask = found[field.path].types
            # Hundreds are as they were for each that is not: a version is made under a lock.
            if any(name not in field.types for name in jsontypes.bits(mask)):
                field = replace(field, types=_types(mask, [field], number))  # noqa: PLW2901
            fields.append(field)
            if field.retired is not None:
                retired[field.path] = field.retired
    for path, node in found.items():
        if path not in known:
            new = _field(path, node, absorbed.get(path, []), number)
            if path[:-1] in retired:
                # What is below a retired field is as little filled as the field itself.
                new = replace(new, retired=number)
            if new.retired is not None:
                retired[path] = new.retired
            fields.append(new)
    earlier = head.changes if head and head.number == number else ()
    return SchemaVersion(subject, number, tuple(fields), (*earlier, *changes), now)


def _field(path: Path, node: Shape, sources: list[Field], number: int) -> Field:
    """The entry of a path that takes over `sources`, with what people decided of all of them."""
    pins = [source.pinned for source in sources if source.pinned is not None]
    retired = [source.retired for source in sources if source.retired is not None]
    return Field(
        path=path,
        since=min([source.since for source in sources], default=number),
        types=_types(node.types, sources, number),
        retired=number if retired and len(retired) == len(sources) else None,
        pinned=max(pins) if pins and ANY_KEY not in node.children else None,
    )


def _types(mask: int, sources: list[Field], number: int) -> dict[str, int]:
    """The types of `sources`, each since the lowest version, and those of `mask` that none has."""
    since: dict[str, int] = {}
    for source in sources:
        for name, version in source.types.items():
            since[name] = min(version, since.get(name, version))
    for name in jsontypes.bits(mask):
        since.setdefault(name, number)
    return since
