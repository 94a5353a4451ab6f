"""Shapes, the trees of paths and types that payloads exhibit, and their join."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from consumer.core.paths import ANY_KEY, Path, is_key
from consumer.schemas.json_types import OBJECT, join_masks


@dataclass(frozen=True, slots=True)
class Shape:
    """The mask of types at one path (0: open) and what lies below, by segment.

    Where `*` is among the children no literal key is: `fold` and `join` keep it so. Treat as
    immutable once built; equality does not look at the order of children.
    """

    types: int = 0
    children: dict[str, Shape] = field(default_factory=dict)


EMPTY = Shape(OBJECT)


def join(one: Shape, other: Shape) -> Shape:
    """Union of paths and types, `*` absorbing its siblings, number absorbing integer.

    Commutative, associative, idempotent and absorbing.
    """
    return Shape(join_masks(one.types, other.types), _merge(one.children, other.children))


def _merge(one: dict[str, Shape], other: dict[str, Shape]) -> dict[str, Shape]:
    if not one or not other:
        return one or other
    if ANY_KEY in one or ANY_KEY in other:
        one, other = fold(one), fold(other)
    merged = dict(one)
    for segment, shape in other.items():
        present = merged.get(segment)
        merged[segment] = shape if present is None else join(present, shape)
    return merged


def fold(children: dict[str, Shape]) -> dict[str, Shape]:
    """The children of an object seen as a map: all keys become one `*`."""
    folded: dict[str, Shape] = {}
    for segment, shape in children.items():
        name = ANY_KEY if is_key(segment) else segment
        present = folded.get(name)
        folded[name] = shape if present is None else join(present, shape)
    return folded


def through_maps(shape: Shape, maps: Shape) -> Shape:
    """`shape` with its keys folded wherever `maps` has a `*` at the same place."""
    children = shape.children
    if not children or not maps.children:
        return shape
    if ANY_KEY in maps.children and any(map(is_key, children)):
        children = fold(children)
    seen = {
        segment: through_maps(child, maps.children[segment]) if segment in maps.children else child
        for segment, child in children.items()
    }
    return Shape(shape.types, seen)


def walk(shape: Shape, prefix: Path = ()) -> Iterator[tuple[Path, Shape]]:
    """Every path below `shape` with its subtree, parents before their children."""
    for segment, child in shape.children.items():
        path = (*prefix, segment)
        yield path, child
        yield from walk(child, path)


def map_path(path: Path, shape: Shape) -> Path:
    """The path as it lies in `shape`: keys become `*` where the shape has a map."""
    mapped = []
    node: Shape | None = shape
    for segment in path:
        name = segment
        if node is not None:
            if ANY_KEY in node.children and is_key(segment):
                name = ANY_KEY
            node = node.children.get(name)
        mapped.append(name)
    return tuple(mapped)
