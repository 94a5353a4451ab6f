"""Name the changes between two shapes or versions, and make the next version of a subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from datetime import datetime

from consumer.core.paths import ANY_KEY, ITEM, Path, is_within_maps
from consumer.schemas import json_types
from consumer.schemas.json_types import ARRAY, INTEGER, NUMBER, OBJECT, join_masks
from consumer.schemas.model import Change, Field, SchemaVersion, shape_of
from consumer.schemas.shape import Shape, fold, join, map_path, through_maps, walk


def diff(older: SchemaVersion | None, newer: SchemaVersion) -> list[Change]:
    """Changes from `older` to `newer` of one subject, one for each path, those that people decided
    first. None stands for before version 1."""
    if older is None:
        return changes(shape_of(None), shape_of(newer))
    maps = {field.path[:-1] for field in older.live if field.path[-1] == ANY_KEY}
    undone = maps & (newer.pinned_objects - older.pinned_objects)
    # Without what stood under their `*`, for that would absorb the names again.
    kept = tuple(each for each in older.fields if not is_within_maps(each.path, undone))
    known = shape_of(replace(older, fields=kept))
    return [*_decided(older, newer, undone), *changes(known, shape_of(newer))]


def _decided(older: SchemaVersion, newer: SchemaVersion, undone: Set[Path]) -> Iterator[Change]:
    """Changes that people decided for the fields that both versions have, at the same positions."""
    for was, now in zip(older.fields, newer.fields, strict=False):
        if was.absorbed is not None:
            continue
        if now.erased is not None:
            yield Change("name_erased", now.path, was.mask, was.mask)
        elif now.path in undone:
            yield Change("map_undone", now.path, was.mask, was.mask)
        if now.retired is not None and was.retired is None and now.absorbed is None:
            yield Change("field_retired", now.path, was.mask, was.mask)
    masks = {field.path: field.mask for field in newer.fields}
    known = {(alias.old, alias.since): alias.until for alias in older.aliases}
    for alias in newer.aliases:
        until, mask = known.get((alias.old, alias.since), 0), masks.get(alias.old, 0)
        if until == 0 and alias.until is None:
            yield Change("alias_added", alias.old, mask, mask)
        elif until is None and alias.until is not None:
            yield Change("alias_removed", alias.old, mask, mask)


def changes(before: Shape, after: Shape, caused_by: str = "") -> list[Change]:
    """The changes that lead from `before` to its join with `after`, parents before children.

    A map that absorbs known keys is one `became_map`; what lies below it is compared with all that
    it absorbs, so that only what is really new is named.
    """
    joined = join(through_maps(before, after), after)
    return list(_changes(before, joined, (), caused_by))


def _changes(before: Shape | None, after: Shape, path: Path, caused_by: str) -> Iterator[Change]:
    known = before.children if before else {}
    makes_map = ANY_KEY in after.children and ANY_KEY not in known
    if makes_map:
        known = fold(known)
    for segment, child in after.children.items():
        here = (*path, segment)
        was = known.get(segment)
        mask = was.types if was else None
        if makes_map and segment == ANY_KEY:
            yield Change("became_map", here, mask, child.types, caused_by)
            kind = _kind(was, child, segment, before) if was else None
        else:
            kind = _kind(was, child, segment, before)
        if kind:
            yield Change(kind, here, mask, child.types, caused_by)
        yield from _changes(was, child, here, caused_by)


def _kind(was: Shape | None, now: Shape, segment: str, parent: Shape | None) -> str | None:
    """The class of a step of one path from what was known; None where nothing changed.

    The first item of an array that was known as empty widens it; the fields of such an item are
    fields like others. An array that never had an item may stand for an empty object, and so its
    first item beside an object is the conflict (.github/ARCHITECTURE.md#schema-rules).
    """
    if was is None:
        if segment != ITEM or parent is None or not parent.types & ARRAY:
            return "field_added"
        return "type_conflict" if parent.types & OBJECT else "type_widened"
    before, after = was.types, now.types
    if before == after:
        return None
    if before == 0 or (before & INTEGER and after == join_masks(before, NUMBER)):
        return "type_widened"
    is_empty_array = after == ARRAY | OBJECT and ITEM not in now.children
    return "type_widened" if is_empty_array else "type_conflict"


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
            if any(name not in field.types for name in json_types.bits(mask)):
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
    aliases = head.aliases if head else ()
    return SchemaVersion(subject, number, tuple(fields), (*earlier, *changes), now, aliases)


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
    for name in json_types.bits(mask):
        since.setdefault(name, number)
    return since
