"""Fill a field that an event lacks from another one that it has, or with a value that a person set.

This is the one meaning of an alias. Ingest and the backfill in this process use it as it is; the
update that MongoDB carries out is proved equal to it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from consumer.core.paths import Path, to_key
from consumer.schemas.compile import ArrayNode, Many, ObjectNode, Types
from consumer.schemas.fillable import OVERHEAD, fills, size_of
from consumer.schemas.model import Alias, SchemaVersion
from consumer.schemas.policy import Defaults

# Stands where a document has nothing, for null is something.
ABSENT = msgspec.UNSET
# Values that are stored as they are read back: by the names of their types, for this is no place
# to know BSON.
_INTEGERS = ("Int64", "Decimal128")
_MOST_PLACES = 1000


@dataclass(frozen=True, slots=True)
class Parent:
    """An object on the way to a field, and its position in the version's `fields`."""

    key: str
    position: int
    node: ObjectNode


@dataclass(frozen=True, slots=True)
class Rule:
    """The aliases of one field, laid out: where it stands, what it knows, the keys that lead to
    what fills it (None: nothing does), and the `value` that stands in for that. `cost`: bytes of
    its keys; `since`: the newest of its aliases."""

    path: Path
    parents: tuple[Parent, ...]
    key: str
    position: int
    known: Many
    new: Path | None
    value: Any
    cost: int
    since: int

    @property
    def positions(self) -> tuple[int, ...]:
        """All that may be made for the field, and the field itself."""
        return (*(parent.position for parent in self.parents), self.position)


@dataclass(frozen=True, slots=True)
class Aliases:
    """The rules of a version in the order of their fields; all that they fill in one document may
    take `room` bytes. `left_out`: there were more, which some documents refused."""

    rules: tuple[Rule, ...]
    room: int
    left_out: bool = False

    def newer_than(self, number: int) -> Aliases:
        """Those that documents filled up to a version do not have yet."""
        return replace(self, rules=tuple(rule for rule in self.rules if rule.since > number))

    def without(self, positions: Container[int]) -> Aliases:
        """Those for which none of these positions is filled."""
        stays = tuple(r for r in self.rules if not any(p in positions for p in r.positions))
        return replace(self, rules=stays, left_out=self.left_out or len(stays) < len(self.rules))


class Origin(Protocol):
    """Tells what of a document was sent."""

    def is_default(self, value: Any, rule: Rule, depth: int) -> bool:
        """True for the value of a parent at this depth, or of the field behind them, that we put
        there for sure and that still is what fills it."""

    def sent(self, value: Any, rule: Rule) -> Any:
        """The part of a value, where the rule takes it from, that was sent; ABSENT for none."""


class AsSent:
    """A payload as it came: nothing in it is ours."""

    def is_default(self, value: Any, rule: Rule, depth: int) -> bool:  # noqa: ARG002
        return False

    def sent(self, value: Any, rule: Rule) -> Any:  # noqa: ARG002
        return value


AS_SENT = AsSent()


@dataclass(frozen=True, slots=True)
class Placed:
    """A deed: at these `positions` something was put, and `made` is an object that its node is to
    fill downwards."""

    positions: tuple[int, ...]
    made: tuple[dict[str, Any], ObjectNode] | None


def led_to(
    paths: Iterable[Path],
    pairs: Iterable[tuple[Path, Path]],
    rests: Callable[[Path, Path], Iterable[Path]],
) -> list[Path]:
    """The paths, and those that lead to the same values by aliases, from either side: `rests` says
    how a path goes on below a field. Those that ended count, and may lead on without an end."""
    places = [(one, other) for pair in pairs for one, other in (pair, pair[::-1])]
    reached = list(paths)
    found, most = set(reached), len(reached) + _MOST_PLACES
    # It grows while it is gone through.
    for path in reached:
        for one, other in places:
            for there in ((*other, *rest) for rest in rests(path, one)):
                if there not in found and len(found) < most:
                    found.add(there)
                    reached.append(there)
    return reached


def compile_aliases(version: SchemaVersion, root: ObjectNode, defaults: Defaults) -> Aliases | None:
    """Lay out the aliases in force over the trie of the version; None where there are none."""
    in_force: dict[Path, list[Alias]] = {}
    for alias in () if defaults.nothing else version.aliases_in_force:
        in_force.setdefault(alias.old, []).append(alias)
    if not in_force:
        return None
    positions = {each.path: at for at, each in enumerate(version.fields) if each.absorbed is None}
    laid_out = (_rule(old, group, root, positions) for old, group in in_force.items())
    rules = sorted((rule for rule in laid_out if rule is not None), key=lambda rule: rule.position)
    taken = sum(fill.size for fill in fills(version, defaults).values() if not fill.beyond)
    return Aliases(tuple(rules), defaults.max_bytes - taken) if rules else None


def _rule(
    old: Path, group: Sequence[Alias], root: ObjectNode, positions: Mapping[Path, int]
) -> Rule | None:
    node, parents = root, []
    for depth, segment in enumerate(old[:-1], 1):
        key = to_key(segment)
        if key not in node.objects:
            return None
        node = node.objects[key]
        parents.append(Parent(key, positions[old[:depth]], node))
    key = to_key(old[-1])
    if key not in node.keys:
        # Too deep to be known.
        return None
    known = Many(node.keys[key], node.objects.get(key), node.arrays.get(key))
    value = next((each.value for each in group if each.new is None), ABSENT)
    if value is not ABSENT:
        value = _taken(value, known.types, known.objects, known.arrays)
    return Rule(
        path=old,
        parents=tuple(parents),
        key=key,
        position=positions[old],
        known=known,
        new=next((each.new for each in group if each.new is not None), None),
        value=value,
        cost=sum(OVERHEAD + len(to_key(each).encode("utf-8", "surrogatepass")) for each in old),
        since=max(each.since for each in group),
    )


def place(
    payload: dict[str, Any],
    aliases: Aliases,
    without: Collection[int] = (),
    origin: Origin = AS_SENT,
) -> tuple[list[Placed], bool]:
    """Put in place what the aliases fill of a payload; what was done, and whether a position
    `without` kept something out.

    Parents that are absent are made; one that was sent as null or scalar stops it. The value is a
    copy, and taken as far as the field knows its types and the room goes.
    """
    placed: list[Placed] = []
    room, left_out = aliases.room, False
    for rule in aliases.rules:
        found = _place_of(payload, rule, origin)
        if found is None:
            continue
        holder, depth = found
        value, size = _chosen(payload, rule, room, origin)
        if value is ABSENT:
            continue
        positions = rule.positions[depth:]
        if without and any(position in without for position in positions):
            left_out = True
            continue
        room -= size
        node = rule.known.objects
        absent = rule.parents[depth:]
        keys = [*(parent.key for parent in absent), rule.key]
        for key in reversed(keys[1:]):
            value = {key: value}
        if absent:
            node = absent[0].node
        holder[keys[0]] = value
        made = (value, node) if isinstance(value, dict) and node is not None else None
        placed.append(Placed(positions, made))
    return placed, left_out


def _place_of(
    payload: dict[str, Any], rule: Rule, origin: Origin
) -> tuple[dict[str, Any], int] | None:
    """The object in which something is absent, and how many parents are there; None where the
    field is there, or cannot be."""
    holder = payload
    for depth, parent in enumerate(rule.parents):
        value = holder.get(parent.key, ABSENT)
        if value is ABSENT or (value is None and origin.is_default(value, rule, depth)):
            return holder, depth
        if not isinstance(value, dict):
            return None
        holder = value
    depth = len(rule.parents)
    value = holder.get(rule.key, ABSENT)
    is_free = value is ABSENT or origin.is_default(value, rule, depth)
    return (holder, depth) if is_free else None


def _chosen(payload: dict[str, Any], rule: Rule, room: int, origin: Origin) -> tuple[Any, int]:
    """A copy of what fills the field, with its bytes; ABSENT for nothing."""
    value: Any = ABSENT if rule.new is None else payload
    for segment in rule.new or ():
        value = value.get(to_key(segment), ABSENT) if isinstance(value, dict) else ABSENT
    if value is not ABSENT:
        value = origin.sent(value, rule)
    for each in (value, rule.value):
        if each is ABSENT:
            continue
        taken = _taken(each, rule.known.types, rule.known.objects, rule.known.arrays)
        if taken is not ABSENT and (size := rule.cost + size_of(taken)) <= room:
            return taken, size
    return ABSENT, 0


def _taken(value: Any, types: Types, objects: ObjectNode | None, arrays: ArrayNode | None) -> Any:
    """A copy of what a field can take of a value: objects without what they know otherwise, all
    else as a whole or not at all."""
    if isinstance(value, dict) and dict in types and objects and objects.any_key is None:
        parts = (
            (
                key,
                _taken(each, objects.keys[key], objects.objects.get(key), objects.arrays.get(key)),
            )
            if key in objects.keys
            else (key, copy.deepcopy(each))
            for key, each in value.items()
        )
        return {key: each for key, each in parts if each is not ABSENT}
    return copy.deepcopy(value) if _fits(value, types, objects, arrays) else ABSENT


def _fits(value: Any, types: Types, objects: ObjectNode | None, arrays: ArrayNode | None) -> bool:
    """True where a value, and all that is known in it, is of a type that is known."""
    if is_open(types):
        return True
    kind = int if type(value).__name__ in _INTEGERS else type(value)
    if kind not in types:
        return False
    if kind is dict and objects is not None:
        many = objects.any_key
        if many is not None:
            return all(
                _fits(each, many.types, many.objects, many.arrays) for each in value.values()
            )
        return all(
            _fits(each, objects.keys[key], objects.objects.get(key), objects.arrays.get(key))
            for key, each in value.items()
            if key in objects.keys
        )
    if kind is list and arrays is not None:
        many = arrays.items
        return all(_fits(each, many.types, many.objects, many.arrays) for each in value)
    return True


def is_open(types: Types) -> bool:
    """True for a path without a type, which anything may have."""
    return not types or types.keys() == {type(None)}
