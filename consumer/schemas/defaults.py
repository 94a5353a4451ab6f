"""Fill the gaps of a checked payload with defaults, take them out again, and reduce a compiled
schema to those that a document still lacks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from consumer.core.paths import is_fillable, to_key
from consumer.schemas.aliases import Aliases, Origin, Placed, place
from consumer.schemas.check import Check, CompiledSchema, Gap
from consumer.schemas.compile import Filling, ObjectNode
from consumer.schemas.model import SchemaVersion

# A tuple, for a union would be made anew at each question.
_CONTAINERS = (dict, list)


class Checked(Protocol):
    """The outcome of a check of the payload that is to be filled."""

    @property
    def gaps(self) -> Sequence[Gap]: ...

    @property
    def aliases(self) -> Aliases | None: ...


class Filled(msgspec.Struct):
    """Result of a filling: the `positions` filled in the version's `fields`, in order, what aliases
    `placed`, and whether something that is absent was `left_out` on purpose."""

    positions: list[int] = msgspec.field(default_factory=list)
    left_out: bool = False
    placed: Sequence[Placed] = ()


def fill(
    payload: dict[str, Any],
    checked: Checked,
    without: Collection[int] = (),
    no_copy: Collection[int] | None = None,
) -> Filled:
    """Add the defaults of known but absent keys to `payload` in place, after its check, but for
    those at the positions `without`; and what aliases put there, but at `no_copy`, which is
    `without` where nobody says otherwise.

    Only to objects reachable through objects: never inside arrays or maps, over an explicit null,
    or below null or a scalar; a filled object is filled downwards, but for one whose keys may be
    data: nobody sent such entries.
    """
    filled = Filled()
    if checked.aliases is not None and checked.gaps:
        # First of all, for they look at what was sent.
        filled.placed, filled.left_out = place(
            payload, checked.aliases, without if no_copy is None else no_copy
        )
    for value, node in checked.gaps:
        _fill(value, node, without, filled)
    for each in filled.placed:
        filled.positions += each.positions
        if each.made is not None:
            _fill_down(*each.made, without, filled)
    filled.positions.sort()
    return filled


def place_later(
    payload: dict[str, Any], aliases: Aliases, origin: Origin, without: Collection[int] = ()
) -> Filled:
    """Put into the payload of a stored document what the aliases would have filled at ingest. The
    `positions` are those of the fields and of the objects made for them, in that order."""
    placed, left_out = place(payload, aliases, without, origin)
    for each in placed:
        if each.made is not None:
            _fill_down(*each.made, without, Filled())
    return Filled([position for each in placed for position in each.positions], left_out, placed)


def lacking(node: ObjectNode) -> dict[str, Any]:
    """Defaults `fill` adds to an object that has other entries but none that the node fills."""
    absent: dict[str, Any] = {}
    fill(absent, Check(gaps=[(absent, replace(node, entries=False))]))
    return absent


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
        if not isinstance(default, _CONTAINERS):
            value[filling.key] = default
            filled.positions.append(filling.position)
            continue
        value[filling.key] = default = copy.deepcopy(default)
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


def newer_than(schema: CompiledSchema, number: int) -> CompiledSchema:
    """The schema that fills only paths added after version `number`.

    On a document filled up to `number` it fills what the whole schema would. On one that lacks
    more, such as a field a person removed, it leaves alone what it could not tell from what was
    sent: `_meta.filled` knows of the filling at ingest only.
    """
    if schema.version is None:
        return schema
    newer = [field.fill_from > number for field in schema.version.fields]
    aliases = schema.aliases and schema.aliases.newer_than(number)
    return replace(schema, root=_reduced(schema.root, newer.__getitem__), aliases=aliases)


def up_to(schema: CompiledSchema, number: int) -> CompiledSchema:
    """The schema that fills only paths which were there in version `number`."""
    if schema.version is None:
        return schema
    older = [field.fill_from <= number for field in schema.version.fields]
    return replace(schema, root=_reduced(schema.root, older.__getitem__))


def leaving_out(schema: CompiledSchema, positions: Container[int]) -> CompiledSchema:
    """The schema that leaves out, on purpose, what it fills at these positions."""
    aliases = schema.aliases and schema.aliases.without(positions)
    root = _reduced(schema.root, lambda _: True, positions)
    return replace(schema, root=root, aliases=aliases)


def filled_positions(node: ObjectNode) -> Iterator[int]:
    """The positions of what the node fills, at and below it."""
    if node.any_key is None:
        yield from (filling.position for filling in node.fillings)
        for below in node.objects.values():
            yield from filled_positions(below)


def fillings(node: ObjectNode) -> int:
    """Number of defaults that the node can fill, at and below it."""
    if node.any_key is not None:
        return 0
    return len(node.fillings) + sum(map(fillings, node.objects.values()))


def holds_back(node: ObjectNode) -> bool:
    """True where a document may lack something on purpose, at or below the node."""
    if node.any_key is not None:
        return False
    return bool(node.beyond) or any(map(holds_back, node.objects.values()))


def _reduced(
    node: ObjectNode, stays: Callable[[int], bool], without: Container[int] = ()
) -> ObjectNode:
    if node.any_key is not None:
        # Nothing is ever filled in a map.
        return node
    objects = {key: _reduced(child, stays, without) for key, child in node.objects.items()}
    beyond = {key: position for key, position in node.beyond.items() if stays(position)}
    left: list[Filling] = []
    for filling in node.fillings:
        if filling.position in without:
            beyond[filling.key] = filling.position
        elif stays(filling.position):
            left.append(replace(filling, node=objects.get(filling.key)))
    return replace(
        node,
        objects=objects,
        expected=len(node.keys) if left or beyond else 0,
        fillings=left,
        beyond=beyond,
    )
