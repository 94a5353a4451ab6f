"""Lay out a schema version as the trie that one walk of a payload needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consumer.core.paths import ANY_KEY, ITEM, Path, is_key, to_key
from consumer.schemas.fillable import Fill, fills
from consumer.schemas.json_types import PYTHON_TYPES
from consumer.schemas.maps import is_data_key, is_due
from consumer.schemas.model import Field as KnownField
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults, Pins

# By Python type the version that first knew it, which a value exhibits. For containers that are to
# be read CONTAINER is added, so that one comparison tells them from known scalars.
Types = dict[type, int]
CONTAINER = 1 << 40


@dataclass(slots=True)
class Filling:
    """The default for a known key that is absent; `position` is that in the version's fields."""

    key: str
    position: int
    value: Any
    node: ObjectNode | None


@dataclass(slots=True)
class ObjectNode:
    """A known object. `keys` has the types of every literal key, `objects` and `arrays` what lies
    below; a map has one `any_key` in their place. `expected` is the number of keys of an object
    without gaps, or 0 where nothing is ever filled; the keys `beyond` the bound, by position, are
    left out when they are absent. One with `entries`, whose keys may be data, stays empty where it
    is. Opaque nodes are not read. Beside names (`named`) keys that are addresses or phone numbers
    are not registered."""

    keys: dict[str, Types] = field(default_factory=dict)
    objects: dict[str, ObjectNode] = field(default_factory=dict)
    arrays: dict[str, ArrayNode] = field(default_factory=dict)
    any_key: Many | None = None
    expected: int = 0
    fillings: list[Filling] = field(default_factory=list)
    beyond: dict[str, int] = field(default_factory=dict)
    entries: bool = False
    opaque: bool = False
    named: bool = False


@dataclass(slots=True)
class Many:
    """Values that share one path: their types, and where those lead that are containers."""

    types: Types = field(default_factory=dict)
    objects: ObjectNode | None = None
    arrays: ArrayNode | None = None


@dataclass(slots=True)
class ArrayNode:
    """A known array."""

    items: Many = field(default_factory=Many)
    opaque: bool = False


@dataclass(slots=True)
class _Branch:
    """A path on the way to its node."""

    known: KnownField | None = None
    position: int = -1
    children: dict[str, _Branch] = field(default_factory=dict)


def build(
    version: SchemaVersion, defaults: Defaults, depth: int, pins: Pins
) -> tuple[ObjectNode, bool]:
    """The trie of the live fields, and whether an object in it is due to become a map; containers
    at `depth` segments are opaque."""
    root = _Branch()
    for position, known in enumerate(version.fields):
        if known.absorbed is None:
            branch = root
            for segment in known.path:
                branch = branch.children.setdefault(segment, _Branch())
            branch.known, branch.position = known, position
    builder = _Builder(fills(version, defaults), depth, pins)
    return builder.object(root, ()), builder.due


@dataclass(slots=True)
class _Builder:
    """Makes the nodes of branches.

    Equal parts of them are one object: where hundreds of subjects take turns, a walk is as fast
    as the processor's caches find its pieces.
    """

    fills: Mapping[int, Fill]
    depth: int
    pins: Pins
    due: bool = False
    shared: dict[tuple[tuple[type, int], ...], Types] = field(default_factory=dict)

    def object(self, branch: _Branch, path: Path, filled: bool = True) -> ObjectNode:
        if len(path) >= self.depth:
            return ObjectNode(opaque=True)
        keys = list(filter(is_key, branch.children))
        node = ObjectNode()
        if is_due(path, keys, self.pins):
            # What it knows are names of nobody's fields.
            self.due, filled = True, False
        elif path not in self.pins.objects:
            node.named = not path or not all(map(is_data_key, map(to_key, keys)))
        for segment, child in branch.children.items():
            if segment == ITEM or child.known is None:
                continue
            here = (*path, segment)
            many = self.many(child, child.known, here, filled)
            if segment == ANY_KEY:
                node.any_key = many
                continue
            key = sys.intern(to_key(segment))
            node.keys[key] = many.types
            if many.objects is not None:
                node.objects[key] = many.objects
            if many.arrays is not None:
                node.arrays[key] = many.arrays
            fill = self.fills.get(child.position) if filled else None
            if fill is not None and fill.beyond:
                node.beyond[key] = child.position
            elif fill is not None:
                node.fillings.append(Filling(key, child.position, fill.value, many.objects))
            if fill is not None and fill.entries and many.objects is not None:
                many.objects.entries = True
        if node.fillings or node.beyond:
            node.expected = len(node.keys)
        return node

    def many(self, branch: _Branch, known: KnownField, path: Path, filled: bool) -> Many:
        types = _types(known)
        many = Many(self.shared.setdefault(tuple(types.items()), types))
        if dict in types:
            many.objects = self.object(branch, path, filled)
        if list in types:
            many.arrays = ArrayNode(opaque=len(path) >= self.depth)
            item = branch.children.get(ITEM)
            if item is not None and item.known is not None and not many.arrays.opaque:
                many.arrays.items = self.many(item, item.known, (*path, ITEM), filled)
        return many


def _types(known: KnownField) -> Types:
    types: Types = {
        PYTHON_TYPES[name]: since for name, since in known.types.items() if name in PYTHON_TYPES
    }
    types[type(None)] = known.since
    # Number absorbs integer: 12 after 12.5 is nothing new.
    if float in types:
        types.setdefault(int, types[float])
    for container in (dict, list):
        if container in types:
            types[container] += CONTAINER
    return types
