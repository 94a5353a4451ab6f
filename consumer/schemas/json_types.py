"""The JSON types as bits of a mask; null has no bit, for it leaves the type of a path open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

BOOLEAN = 1
INTEGER = 2
NUMBER = 4
STRING = 8
OBJECT = 16
ARRAY = 32

NAMES = {
    BOOLEAN: "boolean",
    INTEGER: "integer",
    NUMBER: "number",
    STRING: "string",
    OBJECT: "object",
    ARRAY: "array",
}
BITS = {name: bit for bit, name in NAMES.items()}

# By exact type: a bool is no integer here, though Python says so.
PYTHON_TYPES: dict[str, type] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "object": dict,
    "array": list,
}
_MASKS: dict[type, int] = {type(None): 0} | {PYTHON_TYPES[name]: bit for bit, name in NAMES.items()}


def mask_of(value: object) -> int:
    """The bit of a parsed JSON value, 0 for null; raises TypeError for what JSON does not have."""
    mask = _MASKS.get(type(value))
    if mask is None:
        raise TypeError(f"a value of Python type {type(value).__name__} is not parsed JSON")
    return mask


def join_masks(one: int, other: int) -> int:
    """All types of both; number absorbs integer."""
    joined = one | other
    return joined & ~INTEGER if joined & NUMBER else joined


def mask(names: Iterable[str]) -> int:
    """The mask of type names, with integer absorbed where number stands beside it. Names that only
    newer programs know have no bit."""
    joined = 0
    for name in names:
        joined = join_masks(joined, BITS.get(name, 0))
    return joined


def bits(types: int) -> Iterator[str]:
    """The names of the types in a mask, in one fixed order."""
    return (name for bit, name in NAMES.items() if types & bit)
