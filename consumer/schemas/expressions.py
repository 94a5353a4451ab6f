"""Parts of MongoDB's expressions, for rules of schemas that MongoDB carries out too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Expression = Any

# Keys that can stand in a path of the aggregation language and as a name in its objects.
PLAIN = re.compile(r"[^.$\0][^.\0]*")


def is_type(here: Any, name: str) -> Expression:
    """True for a value of a BSON type."""
    return {"$eq": [{"$type": here}, name]}


def is_there(here: str) -> Expression:
    """True where there is a value, null too."""
    return {"$ne": [{"$type": here}, "missing"]}


def is_one(values: Sequence[Any], here: str) -> Expression:
    """True for one of these values."""
    return {"$in": [here, {"$literal": list(values)}]}


def is_key(key: str) -> Expression:
    """True for the pair `$$this` that has this key."""
    return {"$eq": ["$$this.k", {"$literal": key}]}


def field_of(key: str, here: str) -> Expression:
    """The value of a key of the object `here`, whatever the key has in it."""
    return {"$getField": {"field": {"$literal": key}, "input": here}}


def value_at(keys: Sequence[str], here: str) -> Expression:
    """The value at keys below the object `here`, missing where there is none."""
    inside: Any = "$$at"
    if keys[1:]:
        inside = {"$cond": [is_type("$$at", "object"), value_at(keys[1:], "$$at"), "$$REMOVE"]}
    return let("at", field_of(keys[0], here), inside)


def pair(key: str, value: Any) -> Expression:
    """The object with this one key."""
    if PLAIN.fullmatch(key):
        return {key: value}
    return {"$arrayToObject": [[{"k": {"$literal": key}, "v": value}]]}


def let(name: str, value: Any, then: Any) -> Expression:
    """`then`, which speaks of the value by a name."""
    return {"$let": {"vars": {name: value}, "in": then}}


def nesting(value: Any) -> int:
    """The depth of arrays and objects in each other, encoded ones too."""
    if isinstance(value, Mapping):
        return 1 + max(map(nesting, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(nesting, value), default=0)
    return 0
