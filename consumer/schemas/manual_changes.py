"""Make the versions that people ask for: they retire a field, undo a map, erase a name, or set or
end an alias.

Each function gives the version after `head`, or None where all is so already; raises SetupError for
a path that it cannot be done to. Paths, types, positions and `since` stay as they are.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from consumer.core.errors import SetupError
from consumer.core.paths import ANY_KEY, ERASED, Path, is_fillable, is_key, to_key, to_text
from consumer.schemas.json_types import bits, join_masks, mask_of
from consumer.schemas.model import Alias, Change, Field, SchemaVersion

# What is written in the place of fields that were lost is bounded, whatever documents say.
_MOST_EMPTY = 1000
# Every version holds all aliases that its subject ever had, and masks go by them.
_MOST_ALIASES = 500
# Bounds on the value of an alias: characters of its text, levels in each other.
_LONGEST_VALUE = 4096
_DEEPEST_VALUE = 16
_INT64 = range(-(2**63), 2**63)

# Says of a value that people wrote for a path whether it is to go.
IsTheirs = Callable[[Path, Any], bool]


def nobodys(_path: Path, _value: Any) -> bool:
    """No value is to go."""
    return False


def _unalias(subject: str, old: Path) -> str:
    """The command that ends an alias, for a shell."""
    return f"schema unalias {shlex.quote(subject)} {shlex.quote(to_text(old))}"


def retire(head: SchemaVersion, path: Path, now: datetime) -> SchemaVersion | None:
    """Fill the field no longer, nor what lies below it; it stays known."""
    retired = _live(head, path)
    number = head.number + 1
    for each in head.aliases_in_force:
        if _overlap(each.old, path):
            raise SetupError(
                f'"{to_text(each.old)}" of schema "{head.subject}" has an alias: end that first'
                f" with `{_unalias(head.subject, each.old)}`"
            )
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


def alias(head: SchemaVersion, old: Path, new: Path, now: datetime) -> SchemaVersion | None:
    """Fill `old`, where events lack it, from what they have at `new`, which may be unknown yet."""
    _check_alias(head, old, new)
    return _with_alias(head, Alias(old, new, None, head.number + 1), now)


def alias_value(head: SchemaVersion, old: Path, text: str, now: datetime) -> SchemaVersion | None:
    """Fill `old`, where events lack it and nothing else is there for it, with the value that the
    text is: JSON of a type that the field knows, else the text itself."""
    field = _check_alias(head, old, None)
    return _with_alias(head, Alias(old, None, _value(field, text), head.number + 1), now)


def unalias(head: SchemaVersion, old: Path, now: datetime) -> SchemaVersion | None:
    """Fill `old` by an alias no longer; what is stored stays."""
    number = head.number + 1
    aliases = tuple(
        replace(each, until=number) if each.old == old and each.until is None else each
        for each in head.aliases
    )
    return _next(head, head.fields, [_alias_change("alias_removed", head, old)], now, aliases)


def _with_alias(head: SchemaVersion, made: Alias, now: datetime) -> SchemaVersion | None:
    for each in head.aliases:
        if each.until is not None:
            continue
        if replace(each, since=made.since) == made and type(each.value) is type(made.value):
            return None
        both = each.old == made.old and (each.new is None) != (made.new is None)
        if _overlap(each.old, made.old) and not both:
            raise SetupError(
                f'"{to_text(each.old)}" of schema "{head.subject}" has an alias already: end that'
                f" first with `{_unalias(head.subject, each.old)}`"
            )
        for new, old in ((each.new, made.old), (made.new, each.old)):
            if new is not None and _overlap(new, old):
                raise SetupError(
                    f'"{to_text(old)}" of schema "{head.subject}" would be filled, and another'
                    f' field from "{to_text(new)}": aliases make no chains or circles'
                )
    if len(head.aliases) >= _MOST_ALIASES:
        raise SetupError(
            f'schema "{head.subject}" had {_MOST_ALIASES} aliases, which is as many as it can keep'
        )
    change = _alias_change("alias_added", head, made.old)
    return _next(head, head.fields, [change], now, (*head.aliases, made))


def _check_alias(head: SchemaVersion, old: Path, new: Path | None) -> Field:
    """The field at `old`, if it can have an alias; raises SetupError."""
    for path in (old, new or old):
        if not is_fillable(path):
            raise SetupError(
                f'"{to_text(path)}" cannot be part of an alias: it is reserved, or in an array or'
                " map, and aliases fill objects only"
            )
    if new is not None and _overlap(old, new):
        raise SetupError(f'"{to_text(old)}" and "{to_text(new)}" are the same or hold each other')
    field = _live(head, old)
    if field.retired is not None:
        raise SetupError(
            f'"{to_text(old)}" of schema "{head.subject}" is retired: nothing fills it'
        )
    if new is not None and any(new[: len(each)] == each for each in head.maps):
        raise SetupError(f'"{to_text(new)}" lies in a map, and aliases fill objects only')
    return field


def _alias_change(kind: str, head: SchemaVersion, old: Path) -> Change:
    mask = next((field.mask for field in head.fields if field.path == old), 0)
    return Change(kind, old, mask, mask)


def _value(field: Field, text: str) -> Any:
    if len(text) > _LONGEST_VALUE:
        raise SetupError(f"the value is longer than {_LONGEST_VALUE} characters")
    value: Any = text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    else:
        if not _is_known(value, field):
            value = text
    if not _is_known(value, field):
        raise SetupError(
            f'"{to_text(field.path)}" knows {", ".join(bits(field.mask))}, and the value is of'
            " another type"
        )
    if not _is_storable(value, _DEEPEST_VALUE):
        raise SetupError(
            f"the value is deeper than {_DEEPEST_VALUE} levels, or has an integer beyond 64 bits"
        )
    return value


def _is_known(value: Any, field: Field) -> bool:
    """True for a value that adds no type: null, integer under number, anything where none is."""
    return not field.mask or join_masks(field.mask, mask_of(value)) == field.mask


def _is_storable(value: Any, levels: int) -> bool:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_storable(each, levels - 1) for each in items)
    return type(value) is not int or value in _INT64


def _overlap(one: Path, other: Path) -> bool:
    """True where one of the paths is the other, or lies in it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def erase_names(
    head: SchemaVersion,
    is_name: Callable[[str], bool],
    now: datetime,
    is_theirs: IsTheirs = nobodys,
) -> SchemaVersion | None:
    """Take every key that is such a name out of the paths, and values that are theirs out of the
    aliases: their entries are dead from now on, and so are these aliases."""
    number = head.number + 1
    fields = [erased(each, is_name, number) for each in head.fields]
    aliases = tuple(erased_alias(each, is_name, is_theirs, number) for each in head.aliases)
    changes = [
        Change("name_erased", now_.path, was.mask, was.mask)
        for was, now_ in zip(head.fields, fields, strict=True)
        if now_ is not was
    ]
    changes += [
        Change("alias_removed", now_.old, 0, 0)
        for was, now_ in zip(head.aliases, aliases, strict=True)
        if was.until is None and now_.until is not None
    ]
    return _next(head, fields, changes, now, aliases)


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
    return SchemaVersion(head.subject, head.number + 1, fields, (), now, head.aliases)


def erased(field: Field, is_name: Callable[[str], bool], number: int) -> Field:
    """The entry without the name, in version `number`; itself where it does not hold one."""
    path = without_names(field.path, is_name)
    if path == field.path:
        return field
    absorbed = number if field.absorbed is None else field.absorbed
    return replace(field, path=path, absorbed=absorbed, erased=number)


def erased_alias(
    alias: Alias, is_name: Callable[[str], bool], is_theirs: IsTheirs, number: int
) -> Alias:
    """The alias without the name or value, ended in version `number`; itself where it has none."""
    old, new = without_names(alias.old, is_name), alias.new and without_names(alias.new, is_name)
    is_gone = alias.value is not None and is_theirs(alias.old, alias.value)
    if (old, new) == (alias.old, alias.new) and not is_gone:
        return alias
    value = None if is_gone else alias.value
    return replace(alias, old=old, new=new, value=value, until=alias.until or number)


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
    head: SchemaVersion,
    fields: Iterable[Field],
    changes: Iterable[Change],
    now: datetime,
    aliases: tuple[Alias, ...] | None = None,
) -> SchemaVersion | None:
    after, made = tuple(fields), head.aliases if aliases is None else aliases
    if (after, made) == (head.fields, head.aliases):
        return None
    return SchemaVersion(head.subject, head.number + 1, after, tuple(changes), now, made)
