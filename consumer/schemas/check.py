"""Check a payload against a schema version in one fast walk; a second one counts the unknown."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import dropwhile, islice, takewhile
from typing import Any, ClassVar

import msgspec

from consumer.schemas.aliases import Aliases, compile_aliases
from consumer.schemas.compile import CONTAINER, ArrayNode, Many, ObjectNode, Types, build
from consumer.schemas.maps import is_personal
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults, Pins

# Up to so many values of one path are looked at one by one.
_FEW = 16


# An object of the payload that lacks known keys, with the node that knows them.
Gap = tuple[dict[str, Any], ObjectNode]


class Check(msgspec.Struct):
    """Findings of one walk. `exhibited` is the highest `since` among the paths and types sent.

    `unknown` counts the values whose path or type is not registered, `opaque` the containers below
    the tracked depth, `data_keys` the keys that are never registered, for they name people: each
    counts as one with all it holds. `gaps` refer into the payload.
    """

    exhibited: int = 0
    unknown: int = 0
    opaque: int = 0
    data_keys: int = 0
    gaps: list[Gap] = msgspec.field(default_factory=list)
    # Of the schema, not of a walk: what an admission adds.
    aliases: ClassVar[Aliases | None] = None

    @property
    def untracked(self) -> int:
        return self.unknown + self.opaque + self.data_keys


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A version laid out for checking, with the `defaults` that fill it; without a version nothing
    is known. In one that is `due` an object is known by keys that are data: the next event makes
    it a map."""

    version: SchemaVersion | None
    root: ObjectNode
    defaults: Defaults = field(default_factory=Defaults)
    due: bool = False
    aliases: Aliases | None = None

    @property
    def number(self) -> int:
        """The version's number; 0 without one."""
        return self.version.number if self.version else 0

    def check(self, payload: dict[str, Any]) -> Check:
        """Walk the payload once. It is known entirely where `unknown` is 0."""
        found = Check()
        try:
            found.exhibited = _object(payload, self.root, 0 if self.version is None else 1, found)
        except KeyError:
            # Something is not known, or too deep: count what.
            found = Check(exhibited=1 if self.version else 0)
            count(payload, self.root, found)
        return found


def compile_schema(
    version: SchemaVersion | None,
    defaults: Defaults | None = None,
    depth: int = 32,
    pins: Pins | None = None,
) -> CompiledSchema:
    """Lay out `version`, tracked to paths of `depth` segments."""
    if version is None:
        return CompiledSchema(None, ObjectNode())
    filling = defaults or Defaults()
    pinned = (pins or Pins()).with_objects(version.pinned_objects)
    root, due = build(version, filling, depth, pinned)
    return CompiledSchema(version, root, filling, due, compile_aliases(version, root, filling))


def _object(value: dict[str, Any], node: ObjectNode, newest: int, found: Check) -> int:
    """The newest version exhibited; raises KeyError at the first thing that could be registered.

    The loop is the hot path of the whole program: one comparison for each scalar.
    """
    if node.any_key is not None:
        return newest_in(value.values(), node.any_key, newest, found)
    keys, expected = node.keys, node.expected
    members: Iterable[tuple[str, Any]] = value.items()
    while True:
        try:
            for key, child in members:
                since = keys[key][type(child)]
                if since > newest:
                    if since < CONTAINER:
                        newest = since
                        continue
                    if since - CONTAINER > newest:  # noqa: PLR1730 - a call of max costs a tenth
                        newest = since - CONTAINER
                    if type(child) is dict:
                        newest = _object(child, node.objects[key], newest, found)
                    elif child:
                        newest = newest_in(child, node.arrays[key].items, newest, found)
        except KeyError:
            # Addresses and phone numbers come with each event: the walk goes on behind them.
            if not node.named or key in keys or not is_personal(key):
                raise
            members, passed = _behind(key, members, keys)
            found.data_keys += passed
            expected += passed
        else:
            if len(value) < expected:
                found.gaps.append((value, node))
            return newest


def _behind(
    key: str, members: Iterable[tuple[str, Any]], keys: Container[str]
) -> tuple[Iterator[tuple[str, Any]], int]:
    """Members that come after a key that was passed over, and how many keys were: where there is a
    second one, all that follow, for exceptions cost more than a look."""
    if not isinstance(members, Iterator):
        return islice(dropwhile(lambda member: member[0] is not key, members), 1, None), 1
    rest = list(members)
    kept = [member for member in rest if member[0] in keys or not is_personal(member[0])]
    return iter(kept), 1 + len(rest) - len(kept)


def newest_in(values: Collection[Any], many: Many, newest: int, found: Check) -> int:
    """The same for values that share one path, as in lists and maps."""
    if len(values) > _FEW:
        return _verynewest_in(values, many, newest, found)
    types = many.types
    for child in values:
        since = types[type(child)]
        if since > newest:
            if since < CONTAINER:
                newest = since
                continue
            if since - CONTAINER > newest:  # noqa: PLR1730 - a call of max costs a tenth
                newest = since - CONTAINER
            if type(child) is dict and many.objects is not None:
                newest = _object(child, many.objects, newest, found)
            elif child and many.arrays is not None:
                newest = newest_in(child, many.arrays.items, newest, found)
    return newest


def _verynewest_in(values: Collection[Any], many: Many, newest: int, found: Check) -> int:
    """Type by type, for the types of a long list are found faster than its values are visited."""
    types = many.types
    for kind in set(map(type, values)):
        since = types[kind]
        if since >= CONTAINER:
            since -= CONTAINER
        newest = max(newest, since)
        if kind is dict and many.objects is not None:
            for child in values:
                if type(child) is dict:
                    newest = _object(child, many.objects, newest, found)
        elif kind is list and many.arrays is not None:
            for child in values:
                if type(child) is list:
                    newest = newest_in(child, many.arrays.items, newest, found)
    return newest


def count(value: dict[str, Any], node: ObjectNode, found: Check) -> None:
    """Add to `found` what lies at and below a known object."""
    if value and node.opaque:
        found.opaque += 1
        return
    if node.any_key is not None:
        _countnewest_in(value.values(), node.any_key, found)
        return
    # Thousands of keys that nobody knows must not be visited one by one.
    known = list(filter(node.keys.__contains__, value))
    unknown = len(value) - len(known)
    if unknown and node.named:
        data = takewhile(is_personal, (key for key in value if key not in node.keys))
        # At the first name it is clear that there is something to register.
        personal = sum(1 for _ in data)
        found.data_keys += personal
        unknown -= personal
    found.unknown += unknown
    for key in known:
        _one(value[key], node.keys[key], node.objects.get(key), node.arrays.get(key), found)
    if len(known) < node.expected:
        found.gaps.append((value, node))


def _countnewest_in(values: Collection[Any], many: Many, found: Check) -> None:
    for child in values:
        _one(child, many.types, many.objects, many.arrays, found)


def _one(
    value: Any,
    types: Types,
    objects: ObjectNode | None,
    arrays: ArrayNode | None,
    found: Check,
) -> None:
    since = types.get(type(value))
    if since is None:
        found.unknown += 1
        return
    found.exhibited = max(found.exhibited, since % CONTAINER)
    if type(value) is dict and objects is not None:
        count(value, objects, found)
    elif type(value) is list and arrays is not None and value:
        if arrays.opaque:
            found.opaque += 1
        else:
            _countnewest_in(value, arrays.items, found)
