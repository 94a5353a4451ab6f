"""Expressions of MongoDB for values: where one stands, and what a field can take of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from consumer.events.take_out import Expression, is_key
from consumer.schemas.aliases import is_open
from consumer.schemas.compile import ArrayNode, ObjectNode, Types

_NAMES: Mapping[type, Sequence[str]] = {
    bool: ["bool"],
    int: ["int", "long", "decimal"],
    float: ["double"],
    str: ["string"],
    dict: ["object"],
    list: ["array"],
    type(None): ["null"],
}


def taken(here: str, types: Types, objects: ObjectNode | None, arrays: ArrayNode | None) -> Any:
    """The part of the value at `here` that a field can take: objects without what they know
    otherwise, all else as a whole; missing for nothing."""
    whole = {"$cond": [_fits(here, types, objects, arrays), here, "$$REMOVE"]}
    if dict not in types or not objects or objects.any_key is not None:
        return whole
    branches = [
        {
            "case": is_key(key),
            "then": taken("$$this.v", known, objects.objects.get(key), objects.arrays.get(key)),
        }
        for key, known in objects.keys.items()
        if not is_open(known)
    ]
    if not branches:
        return whole
    value = {"$switch": {"branches": branches, "default": "$$this.v"}}
    pairs = {"$map": {"input": {"$objectToArray": here}, "in": {"k": "$$this.k", "v": value}}}
    kept = {"$filter": {"input": pairs, "cond": is_there("$$this.v")}}
    return {"$cond": [is_type(here, "object"), {"$arrayToObject": kept}, whole]}


def _fits(here: str, types: Types, objects: ObjectNode | None, arrays: ArrayNode | None) -> Any:
    if is_open(types):
        return True
    names = [name for kind in types for name in _NAMES[kind]]
    found: Any = {"$in": [{"$type": here}, names]}
    if (
        dict in types
        and objects is not None
        and (inside := _object_fits(here, objects)) is not True
    ):
        found = {"$cond": [is_type(here, "object"), inside, found]}
    if list in types and arrays is not None and not is_open(arrays.items.types):
        many = arrays.items
        each = _fits("$$this", many.types, many.objects, many.arrays)
        found = {"$cond": [is_type(here, "array"), _all(here, each), found]}
    return found


def _object_fits(here: str, node: ObjectNode) -> Any:
    if (many := node.any_key) is not None:
        if is_open(many.types):
            return True
        each = _fits("$$this.v", many.types, many.objects, many.arrays)
        return _all({"$objectToArray": here}, each)
    checks = [
        {
            "$let": {
                "vars": {"child": field_of(key, here)},
                "in": {
                    "$or": [
                        is_type("$$child", "missing"),
                        _fits("$$child", types, node.objects.get(key), node.arrays.get(key)),
                    ]
                },
            }
        }
        for key, types in node.keys.items()
        if not is_open(types)
    ]
    return {"$and": checks} if checks else True


def _all(values: Any, each: Any) -> Expression:
    return {"$allElementsTrue": [{"$map": {"input": values, "in": each}}]}


def value_at(keys: Sequence[str], here: str) -> Any:
    """The value at keys below the object `here`, missing where there is none."""
    inside: Any = "$$at"
    if keys[1:]:
        inside = {"$cond": [is_type("$$at", "object"), value_at(keys[1:], "$$at"), "$$REMOVE"]}
    return {"$let": {"vars": {"at": field_of(keys[0], here)}, "in": inside}}


def field_of(key: str, here: str) -> Expression:
    """The value of a key of the object `here`, whatever the key has in it."""
    return {"$getField": {"field": {"$literal": key}, "input": here}}


def is_type(here: Any, name: str) -> Expression:
    """True for a value of a BSON type."""
    return {"$eq": [{"$type": here}, name]}


def is_there(here: str) -> Expression:
    """True where there is a value, null too."""
    return {"$ne": [{"$type": here}, "missing"]}
