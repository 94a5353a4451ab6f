"""Name what changes between two shapes, or two versions."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

from consumer.schema.jsontypes import ARRAY, INTEGER, NUMBER, OBJECT, join_masks
from consumer.schema.model import Change, SchemaVersion, shape_of
from consumer.schema.paths import ANY_KEY, ITEM, Path, is_within_maps
from consumer.schema.shape import Shape, fold, join, through_maps


def diff(older: SchemaVersion | None, newer: SchemaVersion) -> list[Change]:
    """What `newer` knows beyond `older`, of one subject: one change for each path. None stands for
    before version 1. What people decided comes first."""
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
    first item beside an object is the conflict (DESIGN section 6).
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
