"""Tell the sent fields of a stored document from the filled ones, for aliases too, and take out
retired fillings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from consumer.core.paths import ERASED, Path, is_fillable, to_key, to_segment
from consumer.schemas import json_types
from consumer.schemas.aliases import ABSENT, Rule
from consumer.schemas.model import Field, SchemaVersion, first_items
from consumer.schemas.origin import Leaving, Marks, is_one_of
from consumer.schemas.policy import Defaults


@dataclass(frozen=True, slots=True)
class RuleOrigins:
    """Fillings where a rule reads and writes: of the parents of its field; and at and below the
    field, and what fills it, by paths from there, what lies deepest first."""

    parents: tuple[Leaving, ...]
    old: tuple[Leaving, ...]
    new: tuple[Leaving, ...]


def rule_origins(rule: Rule, head: SchemaVersion, defaults: Defaults) -> RuleOrigins:
    """Those of a rule of `head`."""

    def at(path: Path) -> Iterator[Leaving]:
        depth = len(path)
        fields = {
            position: field
            for position, field in enumerate(head.fields)
            if field.path[:depth] == path
        }
        for each in leaving_of(fields, head, defaults):
            yield replace(each, path=each.path[depth:])

    # The value of an alias is a default, too, and null one that comes from other settings.
    own = [None, *([] if rule.value is ABSENT else [rule.value])]
    parents = {position: head.fields[position] for position in rule.positions[:-1]}
    return RuleOrigins(
        parents=leaving_of(parents, head, defaults)[::-1],
        old=tuple(
            each if each.path else replace(each, values=[*each.values, *own])
            for each in at(rule.path)
        ),
        new=tuple(at(rule.new)) if rule.new is not None else (),
    )


class Stored:
    """Origin of what a stored document holds (`consumer.schemas.aliases`), by the `origins` of each
    rule, whose position is that of its field."""

    def __init__(self, document: Mapping[str, Any], origins: Mapping[int, RuleOrigins]) -> None:
        self._marks = Marks(document)
        self._origins = origins

    def is_default(self, value: Any, rule: Rule, depth: int) -> bool:
        """True for one that we put there for sure and that still is what fills it."""
        origins = self._origins[rule.position]
        if depth < len(origins.parents):
            return value is None and self._marks.is_certain(origins.parents[depth])
        return left_of(value, origins.old, self._goes) is ABSENT

    def sent(self, value: Any, rule: Rule) -> Any:
        """The value without what was filled in; ABSENT where all was."""
        return left_of(value, self._origins[rule.position].new, self._marks.is_likely)

    def _goes(self, each: Leaving, value: Any) -> bool:
        return self._marks.is_certain(each) and is_one_of(value, each.values)


def left_of(value: Any, fields: Sequence[Leaving], goes: Callable[[Leaving, Any], bool]) -> Any:
    """A copy of a value without those of the fields of which that is true; ABSENT where it goes
    itself. `origin.without` has MongoDB do the same."""
    value = copy.deepcopy(value)
    for each in fields:
        if not each.path:
            if value is not ABSENT and goes(each, value):
                value = ABSENT
            continue
        holder, key = value_at(value, each.path[:-1]), to_key(each.path[-1])
        if isinstance(holder, dict) and key in holder and goes(each, holder[key]):
            del holder[key]
    return value


def filled_in(
    document: Mapping[str, Any], head: SchemaVersion, defaults: Defaults
) -> Iterator[int]:
    """The positions of all that was filled in, at ingest or by a backfill, as far as that is
    likely: what a map may have held counts as sent, unless it is what would be filled in."""
    marks = Marks(document)
    unsure, items = unsure_below(head), first_items(head.fields)
    positions = {position for position in marks.listed if position < len(head.fields)}
    paths: set[Path] = set()
    # From below: an object that holds nothing but what was filled in below it was filled in as {}.
    for position, field in reversed([*enumerate(head.fields)]):
        each = Leaving(field.path, position, (), field.fill_from, unsure.get(position, 1))
        if not marks.is_possible(each) or not is_fillable(field.path):
            continue
        value = value_at(document, field.path)
        if isinstance(value, Mapping):
            value = {key: value[key] for key in value if (*field.path, key) not in paths}
        if not marks.is_certain(each):
            each = replace(each, values=given(field, defaults, items))
        if marks.is_likely(each, value):
            positions.add(position)
            paths.add(field.path)
    yield from sorted(positions)


def without_erased(
    payload: dict[str, Any],
    document: Mapping[str, Any],
    head: SchemaVersion,
    is_name: Callable[[str], bool],
) -> dict[str, Any]:
    """The payload as sent without keys that are such names where a name was erased from the schema
    that was filled in there in this document: nobody can tell them from what was filled in."""
    marks = Marks(document)
    known = {field.path for field in head.fields}
    for position, field in enumerate(head.fields):
        above = field.path[: field.path.index(ERASED)] if ERASED in field.path else ()
        each = Leaving(field.path, position, (), field.fill_from)
        if not above or not marks.is_possible(each):
            continue
        holder = value_at(payload, above)
        keys = holder if isinstance(holder, Mapping) else ()
        gone = [k for k in keys if is_name(k) and (*above, to_segment(k)) not in known]
        if gone:
            payload = copy.deepcopy(payload)
            for key in gone:
                del value_at(payload, above)[key]
    return payload


def unsure_below(head: SchemaVersion) -> dict[int, int]:
    """By position the version below which documents may have sent a field that no version knew by
    its name then: as a key of a map that was undone since, or in a version that was lost."""
    pinned = {field.path: field.pinned for field in head.live if field.pinned is not None}
    found: dict[int, int] = {}
    lost = 0
    for position, field in enumerate(head.fields):
        if field.path == (ERASED,) and not field.types:
            lost = max(lost, field.since)
        above = (pinned.get(field.path[:depth], 0) for depth in range(1, len(field.path)))
        if below := max(lost, *above, 0) if pinned or lost else 0:
            found[position] = below
    return found


def given(field: Field, defaults: Defaults, items: Mapping[Path, int]) -> list[Any]:
    """The values that fill the field, as its types became known one after the other; `items` as
    of `first_items`."""
    versions = sorted({field.since, *field.types.values()})
    values: list[Any] = []
    for version in versions:
        known = (name for name, since in field.types.items() if since <= version)
        has_items = items.get(field.path, version + 1) <= version
        value = defaults.value(field.path, json_types.mask(known), has_items=has_items)
        if not is_one_of(value, values):
            values.append(value)
    if {} in values and field.path not in defaults.values:
        # An object that may be GeoJSON is filled with null.
        values.append(None)
    return values


def leaving(head: SchemaVersion, defaults: Defaults, stamp: int) -> tuple[Leaving, ...]:
    """Fillings that documents filled up to version `stamp` lose on their way to `head`: those of
    fields that were retired since, what lies deepest first."""
    gone = {
        position: field
        for position, field in enumerate(head.fields)
        if field.retired is not None and field.retired > max(stamp, field.since)
    }
    return leaving_of(gone, head, defaults)


def leaving_of(
    gone: Mapping[int, Field], head: SchemaVersion, defaults: Defaults
) -> tuple[Leaving, ...]:
    """The same for any fields by position; those in which nothing is ever filled are left out."""
    unsure, items = unsure_below(head), first_items(head.fields)
    found = [
        Leaving(
            path=field.path,
            position=position,
            values=given(field, defaults, items),
            fill_from=field.fill_from,
            unsure_below=unsure.get(position, 1),
        )
        for position, field in gone.items()
        if is_fillable(field.path)
    ]
    return tuple(sorted(found, key=lambda each: -len(each.path)))


def remove_fillings(document: dict[str, Any], fields: Sequence[Leaving]) -> int:
    """Take the fillings of these fields, the deepest first, out of a document in place, and their
    positions out of `_meta.filled`; the number of those that stay, for their values are others or
    nobody can tell."""
    meta, marks = document["_meta"], Marks(document)
    staying = 0
    gone: set[int] = set()
    for field in fields:
        holder = value_at(document, field.path[:-1])
        key = to_key(field.path[-1])
        if not isinstance(holder, dict) or key not in holder:
            gone.add(field.position)
        elif marks.is_certain(field) and is_one_of(holder[key], field.values):
            del holder[key]
            gone.add(field.position)
        elif marks.is_possible(field):
            staying += 1
    if marks.listed:
        meta["filled"] = [position for position in meta["filled"] if position not in gone]
        if not meta["filled"]:
            del meta["filled"]
    return staying


def value_at(document: Any, path: Path) -> Any:
    """The value at a path of keys; None also where there is none."""
    for segment in path:
        document = document.get(to_key(segment)) if isinstance(document, Mapping) else None
    return document
