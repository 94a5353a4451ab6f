"""Count what a schema version does not know of a payload; the careful twin of the hot walk."""

from __future__ import annotations

from collections.abc import Collection
from itertools import takewhile
from typing import Any

import msgspec

from consumer.schema.maps import is_personal
from consumer.schema.trie import CONTAINER, ArrayNode, Many, ObjectNode, Types

# An object of the payload that lacks known keys, with the node that knows them.
Gap = tuple[dict[str, Any], ObjectNode]


class Check(msgspec.Struct):
    """What one walk found. `exhibited` is the highest `since` among the paths and types sent.

    `unknown` counts the values whose path or type is not registered, `opaque` the containers below
    the tracked depth, `data_keys` the keys that are never registered, for they name people: each
    counts as one with all it holds. `gaps` refer into the payload.
    """

    exhibited: int = 0
    unknown: int = 0
    opaque: int = 0
    data_keys: int = 0
    gaps: list[Gap] = msgspec.field(default_factory=list)

    @property
    def untracked(self) -> int:
        return self.unknown + self.opaque + self.data_keys


def count(value: dict[str, Any], node: ObjectNode, found: Check) -> None:
    """Add to `found` what lies at and below a known object."""
    if value and node.opaque:
        found.opaque += 1
        return
    if node.any_key is not None:
        _count_many(value.values(), node.any_key, found)
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


def _count_many(values: Collection[Any], many: Many, found: Check) -> None:
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
            _count_many(value, arrays.items, found)
