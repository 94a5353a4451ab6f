"""Check a payload against a schema version in one walk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from consumer.schema.count import Check, Gap, count
from consumer.schema.model import SchemaVersion
from consumer.schema.policy import Defaults
from consumer.schema.trie import CONTAINER, Many, ObjectNode, build

# Up to so many values of one path are looked at one by one.
_FEW = 16


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A version laid out for checking, with the `defaults` that fill it; without a version nothing
    is known."""

    version: SchemaVersion | None
    root: ObjectNode
    defaults: Defaults = field(default_factory=Defaults)

    @property
    def number(self) -> int:
        """The version's number; 0 without one."""
        return self.version.number if self.version else 0

    def check(self, payload: dict[str, Any]) -> Check:
        """Walk the payload once. It is known entirely where `unknown` is 0."""
        gaps: list[Gap] = []
        try:
            newest = _object(payload, self.root, 0 if self.version is None else 1, gaps)
            # In order of its fields: names would cost a tenth of a small walk.
            return Check(newest, 0, 0, gaps)
        except KeyError:
            # Something is not known, or too deep: count what.
            found = Check(exhibited=1 if self.version else 0)
            count(payload, self.root, found)
            return found


def compile_schema(
    version: SchemaVersion | None, defaults: Defaults | None = None, depth: int = 32
) -> CompiledSchema:
    """Lay out `version`, tracked to paths of `depth` segments."""
    if version is None:
        return CompiledSchema(None, ObjectNode())
    filling = defaults or Defaults()
    return CompiledSchema(version, build(version, filling, depth), filling)


def _object(value: dict[str, Any], node: ObjectNode, newest: int, gaps: list[Gap]) -> int:
    """The newest version exhibited; raises KeyError at the first thing that is not known.

    The loop is the hot path of the whole program: one comparison for each scalar.
    """
    if node.any_key is not None:
        return _many(value.values(), node.any_key, newest, gaps)
    keys = node.keys
    for key, child in value.items():
        since = keys[key][type(child)]
        if since > newest:
            if since < CONTAINER:
                newest = since
                continue
            if since - CONTAINER > newest:  # noqa: PLR1730 - a call of max costs a tenth
                newest = since - CONTAINER
            if type(child) is dict:
                newest = _object(child, node.objects[key], newest, gaps)
            elif child:
                newest = _many(child, node.arrays[key].items, newest, gaps)
    if len(value) < node.expected:
        gaps.append((value, node))
    return newest


def _many(values: Collection[Any], many: Many, newest: int, gaps: list[Gap]) -> int:
    """The same for values that share one path."""
    if len(values) > _FEW:
        return _very_many(values, many, newest, gaps)
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
                newest = _object(child, many.objects, newest, gaps)
            elif child and many.arrays is not None:
                newest = _many(child, many.arrays.items, newest, gaps)
    return newest


def _very_many(values: Collection[Any], many: Many, newest: int, gaps: list[Gap]) -> int:
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
                    newest = _object(child, many.objects, newest, gaps)
        elif kind is list and many.arrays is not None:
            for child in values:
                if type(child) is list:
                    newest = _many(child, many.arrays.items, newest, gaps)
    return newest
