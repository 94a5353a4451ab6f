"""The default of each field of a version, and the bound on filling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from consumer.core.paths import Path, is_key, to_key
from consumer.schemas.maps import is_data_key
from consumer.schemas.model import SchemaVersion, first_items
from consumer.schemas.policy import Defaults

# A field whose own filling is larger is filled only where a default names it.
_LARGEST = 256
# BSON has a byte for the type and one behind the key; the position in `_meta.filled` takes up to
# ten more.
OVERHEAD = 12
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_DECIMAL = 16
# By the names of types, for this is no place to know BSON.
_SIZES = {"NoneType": 0, "bool": 1, "Decimal128": _DECIMAL}
# An object with a type and one of these is GeoJSON: made of empty values it is none.
_OF_GEOJSON = ("coordinates", "geometries")


@dataclass(frozen=True, slots=True)
class Fill:
    """Filling that stands where a field is absent: a `value` (copy containers before they go into a
    document) of `size` bytes with its key; `beyond` the bound nothing does. In an object whose keys
    may be `entries`, for they look like data, nothing is filled while it is empty."""

    value: Any
    entries: bool = False
    beyond: bool = False
    size: int = 0


def fills(version: SchemaVersion, defaults: Defaults) -> dict[int, Fill]:
    """Fillings of the fields that are filled at all, by position in the version's `fields`.

    The bound holds for the schema: what does not fit is filled in no document, in the order of
    `fields`, so that a field stays filled however many come after it.
    """
    children: dict[Path, set[str]] = {}
    with_data: set[Path] = set()
    if defaults.typed or defaults.values:
        children, with_data = _objects(version)
    items = first_items(version.live)
    found: dict[int, Fill] = {}
    size = count = 0
    for position, field in enumerate(version.fields):
        if not field.is_filled:
            continue
        path = field.path
        named = path in defaults.values
        value = defaults.value(path, field.mask, has_items=path in items)
        if not named and value == {} and _is_geojson(children.get(path, set())):
            value = None
        own = len(to_key(path[-1]).encode("utf-8", "surrogatepass")) + size_of(value) + OVERHEAD
        beyond = (
            defaults.nothing
            or (own > _LARGEST and not named)
            or size + own > defaults.max_bytes
            or count >= defaults.max_fields
        )
        if not beyond:
            size, count = size + own, count + 1
        entries = path in with_data and (defaults.typed or isinstance(value, dict))
        found[position] = Fill(value, entries, beyond, own)
    return found


def _objects(version: SchemaVersion) -> tuple[dict[Path, set[str]], set[Path]]:
    """The keys of each object, and the objects with keys at any depth that look like data: they
    would get entries that nobody sent."""
    children: dict[Path, set[str]] = {}
    with_data: set[Path] = set()
    looks: dict[str, bool] = {}
    for field in version.live:
        path, segment = field.path, field.path[-1]
        if not is_key(segment):
            continue
        key = to_key(segment)
        children.setdefault(path[:-1], set()).add(key)
        if key not in looks:
            looks[key] = is_data_key(key)
        if looks[key]:
            with_data.update(path[:depth] for depth in range(1, len(path)))
    return children, with_data


def _is_geojson(keys: set[str]) -> bool:
    return "type" in keys and not keys.isdisjoint(_OF_GEOJSON)


def size_of(value: Any) -> int:
    """Bytes of a value in BSON: what `$bsonSize` says, without the name and what is around."""
    if isinstance(value, str):
        return 5 + len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return 5 + sum(
            2 + len(key.encode("utf-8", "surrogatepass")) + size_of(each)
            for key, each in value.items()
        )
    if isinstance(value, list | tuple):
        return 5 + sum(2 + len(str(index)) + size_of(each) for index, each in enumerate(value))
    if type(value) is int:
        return 4 if value in _INT32 else 8 if value in _INT64 else _DECIMAL
    return _SIZES.get(type(value).__name__, 8)
