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
from consumer.schemas.policy import Defaults


@dataclass(frozen=True, slots=True)
class Leaving:
    """A field whose fillings go: what was filled at `position` is one of `values`.

    A backfill filled it in documents of lower versions than `filled_below` (0: in none). Those of
    lower versions than `unsure_below` may have sent it, though it was not known by its name.
    """

    path: Path
    position: int
    values: Sequence[Any]
    filled_below: int
    unsure_below: int


# Key of the object in which a value is looked at by itself.
HELD = "v"


@dataclass(frozen=True, slots=True)
class RuleOrigins:
    """Fillings where a rule reads and writes: of the parents of its field; and at and below the
    field, and what fills it, by paths that begin with HELD, what lies deepest first."""

    parents: tuple[Leaving, ...]
    old: tuple[Leaving, ...]
    new: tuple[Leaving, ...]


def rule_origins(rule: Rule, head: SchemaVersion, defaults: Defaults, stamp: int) -> RuleOrigins:
    """Those of a rule of `head`, in documents that are filled up to version `stamp`."""

    def at(path: Path) -> Iterator[Leaving]:
        depth = len(path)
        fields = {
            position: field
            for position, field in enumerate(head.fields)
            if field.absorbed is None and field.path[:depth] == path
        }
        for each in leaving_of(fields, head, defaults, stamp):
            yield replace(each, path=(HELD, *each.path[depth:]))

    # The value of an alias is a default, too, and null one that comes from other settings.
    own = [None, *([] if rule.value is ABSENT else [rule.value])]
    parents = {position: head.fields[position] for position in rule.positions[:-1]}
    return RuleOrigins(
        parents=leaving_of(parents, head, defaults, stamp)[::-1],
        old=tuple(
            replace(each, values=[*each.values, *own]) if each.path == (HELD,) else each
            for each in at(rule.path)
        ),
        new=tuple(at(rule.new)) if rule.new is not None else (),
    )


class Stored:
    """Origin of what a stored document holds (`consumer.schemas.aliases`), by the `origins` of each
    rule, whose position is that of its field."""

    def __init__(self, document: Mapping[str, Any], origins: Mapping[int, RuleOrigins]) -> None:
        meta = document.get("_meta") or {}
        filled, version = meta.get("filled"), document.get("schema_version")
        self._listed = filled if isinstance(filled, list) else []
        self._version = version if isinstance(version, int) and version is not True else -1
        self._untracked = bool(meta.get("untracked"))
        self._origins = origins

    def is_default(self, value: Any, rule: Rule, depth: int) -> bool:
        """True for one that we put there for sure and that still is what fills it."""
        origins = self._origins[rule.position]
        if depth < len(origins.parents):
            return value is None and self._is_certain(origins.parents[depth])
        return _without(value, origins.old, self._is_certain_default) is ABSENT

    def sent(self, value: Any, rule: Rule) -> Any:
        """The value without what was filled in, or may have been; ABSENT where all was."""
        return _without(value, self._origins[rule.position].new, self._may_be_filled)

    def _is_certain_default(self, each: Leaving, value: Any) -> bool:
        return self._is_certain(each) and _is_one(value, each.values)

    def _is_certain(self, each: Leaving) -> bool:
        later = 0 < self._version < each.filled_below and self._version >= each.unsure_below
        return each.position in self._listed or (later and not self._untracked)

    def _may_be_filled(self, each: Leaving, value: Any) -> bool:
        if each.position in self._listed:
            return True
        sure = self._version >= each.unsure_below and not self._untracked
        return 0 <= self._version < each.filled_below and (sure or _is_one(value, each.values))


def _without(value: Any, fields: Sequence[Leaving], goes: Callable[[Leaving, Any], bool]) -> Any:
    held = {HELD: copy.deepcopy(value)}
    for each in fields:
        holder, key = value_at(held, each.path[:-1]), to_key(each.path[-1])
        if isinstance(holder, dict) and key in holder and goes(each, holder[key]):
            del holder[key]
    return held.get(HELD, ABSENT)


def filled_in(
    document: Mapping[str, Any], head: SchemaVersion, defaults: Defaults
) -> Iterator[int]:
    """The positions of all that was filled in, at ingest or by a backfill
    (.github/ARCHITECTURE.md#schema-rules).

    Nobody can tell what a backfill filled in a document with `_meta.untracked`: there it counts as
    sent. So does what a map may have held, unless it is what would be filled in.
    """
    meta = document.get("_meta") or {}
    for position in meta.get("filled") or ():
        if position in range(len(head.fields)):
            yield position
    if meta.get("untracked"):
        return
    stamped, upto = document.get("schema_version", 0), meta.get("backfilled_to", 0)
    unsure, items = unsure_below(head), first_items(head.fields)
    found: dict[Path, int] = {}
    # From below: an object that holds nothing but what was filled in below it was filled in as {}.
    for position, field in reversed([*enumerate(head.fields)]):
        if stamped < field.fill_from <= upto and is_fillable(field.path):
            value = value_at(document, field.path)
            if isinstance(value, Mapping):
                value = {key: value[key] for key in value if (*field.path, key) not in found}
            sure = stamped >= unsure.get(position, 0)
            if sure or _is_one(value, given(field, defaults, items)):
                found[field.path] = position
    yield from sorted(found.values())


def without_erased(
    payload: dict[str, Any],
    document: Mapping[str, Any],
    head: SchemaVersion,
    is_name: Callable[[str], bool],
) -> dict[str, Any]:
    """The payload as sent without keys that are such names where a name was erased from the schema
    that was filled in there in this document: nobody can tell them from what was filled in."""
    meta = document.get("_meta") or {}
    listed = meta.get("filled") or ()
    stamped, upto = document.get("schema_version", 0), meta.get("backfilled_to", 0)
    known = {field.path for field in head.fields}
    for position, field in enumerate(head.fields):
        above = field.path[: field.path.index(ERASED)] if ERASED in field.path else ()
        if not above or not (position in listed or stamped < field.fill_from <= upto):
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
        if not _is_one(value, values):
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
    return leaving_of(gone, head, defaults, stamp)


def leaving_of(
    gone: Mapping[int, Field], head: SchemaVersion, defaults: Defaults, stamp: int
) -> tuple[Leaving, ...]:
    """The same for any fields by position; those in which nothing is ever filled are left out."""
    unsure, items = unsure_below(head), first_items(head.fields)
    found = [
        Leaving(
            path=field.path,
            position=position,
            values=given(field, defaults, items),
            filled_below=field.fill_from if field.fill_from <= stamp else 0,
            unsure_below=unsure.get(position, 0),
        )
        for position, field in gone.items()
        if is_fillable(field.path)
    ]
    return tuple(sorted(found, key=lambda each: -len(each.path)))


def remove_fillings(document: dict[str, Any], fields: Sequence[Leaving]) -> int:
    """Take the fillings of these fields, the deepest first, out of a document in place, and their
    positions out of `_meta.filled`; the number of those that stay, for their values are others or
    nobody can tell."""
    meta, version = document["_meta"], document.get("schema_version")
    stamped = version if isinstance(version, int) and not isinstance(version, bool) else -1
    filled = meta.get("filled")
    listed = filled if isinstance(filled, list) else []
    staying = 0
    gone: set[int] = set()
    for field in fields:
        holder = value_at(document, field.path[:-1])
        key = to_key(field.path[-1])
        if not isinstance(holder, dict) or key not in holder:
            gone.add(field.position)
            continue
        at_ingest = field.position in listed
        later = -1 < stamped < field.filled_below
        sure = at_ingest or (later and stamped >= field.unsure_below)
        if sure and not meta.get("untracked") and _is_one(holder[key], field.values):
            del holder[key]
            gone.add(field.position)
        elif at_ingest or later:
            staying += 1
    if listed:
        meta["filled"] = [position for position in listed if position not in gone]
        if not meta["filled"]:
            del meta["filled"]
    return staying


def value_at(document: Any, path: Path) -> Any:
    """The value at a path of keys; None also where there is none."""
    for segment in path:
        document = document.get(to_key(segment)) if isinstance(document, Mapping) else None
    return document


def same(one: Any, other: Any) -> bool:
    """Equal as MongoDB sees it: a boolean is no number, and keys have an order."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(a[0] == b[0] and same(a[1], b[1]) for a, b in pairs)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _is_one(value: Any, values: Sequence[Any]) -> bool:
    return any(same(value, each) for each in values)
