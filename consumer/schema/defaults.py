"""Fill the gaps of a checked payload, and take out again what was filled."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from consumer.schema.count import Check, Gap
from consumer.schema.model import SchemaVersion
from consumer.schema.paths import is_fillable, to_key
from consumer.schema.trie import ObjectNode


class Checked(Protocol):
    """The outcome of a check of the payload that is to be filled."""

    @property
    def gaps(self) -> Sequence[Gap]: ...


class Filled(msgspec.Struct):
    """Result of a filling: the `positions` filled in the version's `fields`, in order, and whether
    something that is absent was `left_out` on purpose."""

    positions: list[int] = msgspec.field(default_factory=list)
    left_out: bool = False


def fill(
    payload: dict[str, Any],  # noqa: ARG001 - its gaps
    checked: Checked,
    without: Collection[int] = (),
) -> Filled:
    """Add the defaults of known but absent keys to `payload` in place, after its check, but for
    those at the positions `without`.

    Only to objects reachable through objects: never inside arrays or maps, over an explicit null,
    or below null or a scalar; a filled object is filled downwards, but for one whose keys may be
    data: nobody sent such entries.
    """
    filled = Filled()
    for value, node in checked.gaps:
        _fill(value, node, without, filled)
    filled.positions.sort()
    return filled


def lacking(node: ObjectNode) -> dict[str, Any]:
    """Defaults `fill` adds to an object that has other entries but none that the node fills."""
    absent: dict[str, Any] = {}
    fill(absent, Check(gaps=[(absent, replace(node, entries=False))]))
    return absent


def take_out(checked: Checked, filled: Filled) -> None:
    """Make what `fill` filled after this check as it was before."""
    positions = frozenset(filled.positions)
    for value, node in checked.gaps:
        for filling in node.fillings:
            if filling.position in positions:
                value.pop(filling.key, None)


def unfill(payload: dict[str, Any], positions: Iterable[int], version: SchemaVersion) -> None:
    """Take out in place what `fill` put in: the inverse, given its positions and any version from
    the filling one on. What is not there is passed over."""
    for position in positions:
        path = version.fields[position].path
        if not is_fillable(path):
            continue
        parent: Any = payload
        for segment in path[:-1]:
            parent = parent.get(to_key(segment)) if isinstance(parent, dict) else None
        if isinstance(parent, dict):
            parent.pop(to_key(path[-1]), None)


def _fill(
    value: dict[str, Any], node: ObjectNode, without: Collection[int], filled: Filled
) -> None:
    if node.entries and not value:
        return
    for filling in node.fillings:
        if filling.key in value:
            continue
        if without and filling.position in without:
            filled.left_out = True
            continue
        default = filling.value
        if isinstance(default, dict | list):
            default = copy.deepcopy(default)
        value[filling.key] = default
        filled.positions.append(filling.position)
        if isinstance(default, dict) and filling.node is not None:
            _fill_down(default, filling.node, without, filled)
    if node.beyond and not node.beyond.keys() <= value.keys():
        filled.left_out = True


def _fill_down(
    value: dict[str, Any], node: ObjectNode, without: Collection[int], filled: Filled
) -> None:
    """Fill what was just filled in, and the objects that the default itself holds."""
    for key, below in node.objects.items():
        held = value.get(key)
        if isinstance(held, dict):
            _fill_down(held, below, without, filled)
    _fill(value, node, without, filled)
