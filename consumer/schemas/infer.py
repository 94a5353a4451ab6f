"""Read the shape of one payload, in bounds and through the maps that are known or found."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from consumer.core.paths import ANY_KEY, ITEM, Path, is_key, to_segment
from consumer.schemas.json_types import OBJECT, join_masks, mask_of
from consumer.schemas.maps import Profile, is_due, is_map, is_personal
from consumer.schemas.policy import Guards, Pins
from consumer.schemas.shape import Shape, fold

_NOTHING = Shape()


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
    `paths_per_event` paths of `depth` segments and `path_bytes` bytes. Keys that are addresses or
    phone numbers are left out where they do not make a map.
    """
    root = Shape(OBJECT, {})
    places = deque([_Place((), 0, root, [payload], known)])
    room = guards.paths_per_event
    cut: str | None = None
    data_key = False
    while places:
        place = places.popleft()
        groups, left_out = _groups(place, pins, guards.map_children)
        data_key = data_key or left_out
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
    return Inferred(root, cut or ("data_key" if data_key else None))


def with_maps(known: Shape, pins: Pins, found: Shape = _NOTHING, path: Path = ()) -> Shape:
    """The `known` shape in which objects whose keys, known and `found`, are data are maps."""
    if not known.children:
        return known
    children = {
        segment: with_maps(child, pins, found.children.get(segment, _NOTHING), (*path, segment))
        for segment, child in known.children.items()
    }
    keys = set(filter(is_key, children))
    if keys and is_due(path, keys.union(filter(is_key, found.children)), pins):
        children = fold(children)
    return Shape(known.types, children)


def _groups(place: _Place, pins: Pins, map_children: int) -> tuple[dict[str, list[Any]], bool]:
    """The values one level down, by segment, and whether keys that name people were left out."""
    keys: dict[str, list[Any]] = {}
    items: list[Any] = []
    for value in place.values:
        if type(value) is dict:
            for key, child in value.items():
                keys.setdefault(to_segment(key), []).append(child)
        elif type(value) is list:
            items.extend(value)
    left_out = []
    if keys and _is_map(place, keys, pins, map_children):
        keys = {ANY_KEY: [child for values in keys.values() for child in values]}
    elif place.path not in pins.objects:
        known = place.known.children if place.known else {}
        left_out = [key for key in keys if key not in known and is_personal(key)]
        for key in left_out:
            del keys[key]
    if items:
        keys[ITEM] = items
    return keys, bool(left_out)


def _is_map(place: _Place, keys: dict[str, list[Any]], pins: Pins, map_children: int) -> bool:
    known = place.known.children if place.known else {}
    if ANY_KEY in known:
        return True
    before = list(filter(is_key, known))

    def profile(segment: str) -> Profile:
        values = keys.get(segment, [])
        shape = known.get(segment)
        below = {to_segment(key) for value in values if type(value) is dict for key in value}
        if shape is None:
            return _types(values), below
        return join_masks(shape.types, _types(values)), below | shape.children.keys()

    def profiles() -> list[Profile]:
        return [profile(each) for each in keys.keys() | set(before)]

    return is_map(place.path, before, keys, profiles, pins=pins, many=map_children)


def _types(values: list[Any]) -> int:
    types = 0
    # One value of each Python type tells the mask of all.
    for value in {type(value): value for value in values}.values():
        types = join_masks(types, mask_of(value))
    return types
