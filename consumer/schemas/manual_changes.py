"""Make the versions that people ask for: they retire a field, undo a map, or erase a name.

Each function gives the version after `head`, or None where all is so already; raises SetupError for
a path that it cannot be done to. Paths, types, positions and `since` stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from consumer.core.errors import SetupError
from consumer.core.paths import ANY_KEY, ERASED, Path, is_key, to_key, to_text
from consumer.schemas.model import Change, Field, SchemaVersion

# What is written in the place of fields that were lost is bounded, whatever documents say.
_MOST_EMPTY = 1000


def retire(head: SchemaVersion, path: Path, now: datetime) -> SchemaVersion | None:
    """Fill the field no longer, nor what lies below it; it stays known."""
    retired = _live(head, path)
    number = head.number + 1
    fields = [
        replace(each, retired=number)
        if each.path[: len(path)] == path and each.retired is None
        else each
        for each in head.fields
    ]
    changes = [Change("field_retired", path, retired.mask, retired.mask)]
    return _next(head, fields, changes, now)


def unmap(head: SchemaVersion, path: Path, now: datetime) -> SchemaVersion | None:
    """Make the map at `path` an object again, and keep it one whatever keys come.

    What its `*` took over is live again and filled from this version on; keys seen only while it
    was a map come back with the events that send them.
    """
    undone = _live(head, path)
    inside = (*path, ANY_KEY)
    if inside not in {each.path for each in head.live}:
        if undone.pinned is not None:
            return None
        raise SetupError(f'"{to_text(path)}" of schema "{head.subject}" is not a map')
    number, depth = head.number + 1, len(path)

    def was_taken(each: Field) -> bool:
        below = len(each.path) > depth and each.path[:depth] == path and is_key(each.path[depth])
        return below and each.absorbed is not None and each.erased is None

    # What was absorbed before was so by maps further down, which come back as maps.
    made = max((each.absorbed or 0 for each in head.fields if was_taken(each)), default=0)

    def after(each: Field) -> Field:
        if each is undone:
            return replace(each, pinned=number)
        if each.absorbed is None and each.path[: depth + 1] == inside:
            return replace(each, absorbed=number)
        if was_taken(each) and each.absorbed == made:
            return replace(each, absorbed=None, refilled=number)
        return each

    changes = [Change("map_undone", path, undone.mask, undone.mask)]
    return _next(head, map(after, head.fields), changes, now)


def erase_names(
    head: SchemaVersion, is_name: Callable[[str], bool], now: datetime
) -> SchemaVersion | None:
    """Take every key that is such a name out of the paths: their entries are dead from now on."""
    number = head.number + 1
    fields = [erased(each, is_name, number) for each in head.fields]
    changes = [
        Change("name_erased", now_.path, was.mask, was.mask)
        for was, now_ in zip(head.fields, fields, strict=True)
        if now_ is not was
    ]
    return _next(head, fields, changes, now)


def renumbered(
    head: SchemaVersion, last: int, positions: int, now: datetime
) -> SchemaVersion | None:
    """The next copy of the head on the way to version `last`, past numbers that were lost; None
    where that is reached. The lost versions had as many `positions` in `fields`: those of fields
    that were lost are left empty, one at least, for documents refer to them.
    """
    if head.number >= last:
        return None
    fields = head.fields
    empty = Field((ERASED,), last, {}, absorbed=last, erased=last)
    if empty not in fields:
        lost = min(max(1, positions - len(fields)), _MOST_EMPTY)
        fields = (*fields, *[empty] * lost)
    return SchemaVersion(head.subject, head.number + 1, fields, (), now)


def erased(field: Field, is_name: Callable[[str], bool], number: int) -> Field:
    """The entry without the name, in version `number`; itself where it does not hold one."""
    path = without_names(field.path, is_name)
    if path == field.path:
        return field
    absorbed = number if field.absorbed is None else field.absorbed
    return replace(field, path=path, absorbed=absorbed, erased=number)


def without_names(path: Path, is_name: Callable[[str], bool]) -> Path:
    """The path with ERASED in the place of each key that is such a name."""
    return tuple(
        ERASED if is_key(segment) and is_name(to_key(segment)) else segment for segment in path
    )


def _live(head: SchemaVersion, path: Path) -> Field:
    known = {each.path: each for each in head.live}
    if path in known:
        return known[path]
    raise SetupError(f'schema "{head.subject}" has no field "{to_text(path)}"')


def _next(
    head: SchemaVersion, fields: Iterable[Field], changes: Iterable[Change], now: datetime
) -> SchemaVersion | None:
    after = tuple(fields)
    if after == head.fields:
        return None
    return SchemaVersion(head.subject, head.number + 1, after, tuple(changes), now)
