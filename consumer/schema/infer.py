"""Read the shape of one payload, in bounds and through the maps that are known or found."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from consumer.schema.jsontypes import OBJECT, join_masks, mask_of
from consumer.schema.maps import Profile, is_map
from consumer.schema.paths import ANY_KEY, ITEM, Path, is_key, to_segment
from consumer.schema.policy import Guards, Pins
from consumer.schema.shape import Shape


@dataclass(frozen=True, slots=True)
class Inferred:
    """A shape, and the guard that cut it short if one did."""

    shape: Shape
    guard: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """One path that is being read: all values found there, and what is known of it."""

    path: Path
    size: int
    shape: Shape
    values: list[Any]
    known: Shape | None


def infer(payload: dict[str, Any], known: Shape, pins: Pins, guards: Guards) -> Inferred:
    """The shape of `payload` as an addition to the `known` one.

    Breadth first in the order sent, so that what a bound leaves out is what lies deepest: at most
    `paths_per_event` paths of `depth` segments and `path_bytes` bytes.
    """
    root = Shape(OBJECT, {})
    places = deque([_Place((), 0, root, [payload], known)])
    room = guards.paths_per_event
    cut: str | None = None
    while places:
        place = places.popleft()
        groups = _groups(place, pins, guards.map_children)
        if groups and len(place.path) == guards.depth:
            cut = cut or "depth"
            continue
        for segment, values in groups.items():
            size = place.size + len(segment.encode("utf-8", "surrogatepass"))
            if size > guards.path_bytes:
                cut = cut or "path_bytes"
                continue
            if not room:
                return Inferred(root, "paths_per_event")
            room -= 1
            shape = Shape(_types(values), {})
            place.shape.children[segment] = shape
            below = place.known.children.get(segment) if place.known else None
            places.append(_Place((*place.path, segment), size, shape, values, below))
    return Inferred(root, cut)


def _groups(place: _Place, pins: Pins, map_children: int) -> dict[str, list[Any]]:
    """The values one level down, by segment."""
    keys: dict[str, list[Any]] = {}
    items: list[Any] = []
    for value in place.values:
        if type(value) is dict:
            for key, child in value.items():
                keys.setdefault(to_segment(key), []).append(child)
        elif type(value) is list:
            items.extend(value)
    if keys and _is_map(place, keys, pins, map_children):
        keys = {ANY_KEY: [child for values in keys.values() for child in values]}
    if items:
        keys[ITEM] = items
    return keys


def _is_map(place: _Place, keys: dict[str, list[Any]], pins: Pins, map_children: int) -> bool:
    known = place.known.children if place.known else {}
    if ANY_KEY in known:
        return True
    segments = keys.keys() | set(filter(is_key, known))

    def profile(segment: str) -> Profile:
        values = keys.get(segment, [])
        before = known.get(segment)
        below = {to_segment(key) for value in values if type(value) is dict for key in value}
        if before is None:
            return _types(values), below
        return join_masks(before.types, _types(values)), below | before.children.keys()

    return is_map(
        place.path, segments, lambda: [profile(each) for each in segments], pins, map_children
    )


def _types(values: list[Any]) -> int:
    types = 0
    # One value of each Python type tells the mask of all.
    for value in {type(value): value for value in values}.values():
        types = join_masks(types, mask_of(value))
    return types
