"""Check a payload against a schema version in one walk."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import dropwhile, islice
from typing import Any

from consumer.schema.count import Check, count
from consumer.schema.maps import is_personal
from consumer.schema.model import SchemaVersion
from consumer.schema.policy import Defaults, Pins
from consumer.schema.trie import CONTAINER, Many, ObjectNode, build

# Up to so many values of one path are looked at one by one.
_FEW = 16


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A version laid out for checking, with the `defaults` that fill it; without a version nothing
    is known. In one that is `due` an object is known by keys that are data: the next event makes
    it a map."""

    version: SchemaVersion | None
    root: ObjectNode
    defaults: Defaults = field(default_factory=Defaults)
    due: bool = False

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
    return CompiledSchema(version, root, filling, due)


def _object(value: dict[str, Any], node: ObjectNode, newest: int, found: Check) -> int:
    """The newest version exhibited; raises KeyError at the first thing that could be registered.

    The loop is the hot path of the whole program: one comparison for each scalar.
    """
    if node.any_key is not None:
        return _many(value.values(), node.any_key, newest, found)
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
                        newest = _many(child, node.arrays[key].items, newest, found)
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


def _many(values: Collection[Any], many: Many, newest: int, found: Check) -> int:
    """The same for values that share one path."""
    if len(values) > _FEW:
        return _very_many(values, many, newest, found)
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
                newest = _many(child, many.arrays.items, newest, found)
    return newest


def _very_many(values: Collection[Any], many: Many, newest: int, found: Check) -> int:
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
                    newest = _many(child, many.arrays.items, newest, found)
    return newest
