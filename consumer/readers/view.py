"""Write a projection as the pipeline of a view, which means what `readers.projection` says."""

from __future__ import annotations

from typing import Any

from consumer.mongodb.client import Document
from consumer.readers.projection import (
    LIKE_JSON,
    MASK,
    OURS,
    Node,
    Place,
    Projection,
    Source,
    given,
    is_odd,
)
from consumer.schemas.json_types import ARRAY, BOOLEAN, INTEGER, NUMBER, OBJECT, STRING

# An expression of MongoDB.
Expression = Any

_NULL: Document = {"$literal": None}
_NAMES = ((BOOLEAN, "bool"), (STRING, "string"), (OBJECT, "object"), (ARRAY, "array"))


def pipeline(projection: Projection) -> list[Document]:
    """The documents of the subject, each projected. What a view shows unaltered is named as it is,
    so that queries on it reach the indexes."""
    fields = {name: _value(node, f"${name}") for name, node in projection.fields.items()}
    return [
        {"$match": {"_meta.subject": {"$eq": projection.subject}}},
        {"$project": {**dict.fromkeys(OURS, 1), **fields}},
    ]


def _value(node: Node, at: str, *, may_lack: bool = True) -> Expression:
    """The node's value, where the path `at` of an expression has what is stored, if anything."""
    absent = _absent(node) if may_lack else _NULL
    if may_lack and node.aliased:
        lacks = [_is("missing", at)]
        if node.place is not None:
            fillings = {"$in": [at, {"$literal": [None, node.default]}]}
            lacks.append({"$and": [fillings, _was_filled(node.place)]})
        return {"$cond": [{"$or": lacks}, absent, _value(node, at, may_lack=False)]}
    if node.masked and node.types:
        seen = {"$literal": MASK} if node.types & STRING else _NULL
        return _if_absent(at, absent, {"$cond": [{"$lte": [at, None]}, None, seen]})
    unknown = _kept(node, at) if node.keep and node.types else _NULL
    found = _if_absent(at, absent, unknown)
    scalars = node.types & ~(OBJECT | ARRAY)
    if scalars and unknown != {"$ifNull": [at, None]}:
        text = _unlike_json(at) if node.inner and scalars & STRING else at
        found = {"$cond": [_is_known(scalars, at), text, found]}
    if node.types & ARRAY:
        found = {"$cond": [_is("array", at), _items(node, at), found]}
    if node.types & OBJECT:
        found = {"$cond": [_is("object", at), _object(node, at), found]}
    return found


def _if_absent(at: str, absent: Expression, found: Expression) -> Expression:
    return found if absent == _NULL else {"$cond": [_is("missing", at), absent, found]}


def _items(node: Node, at: str) -> Expression:
    if node.item is None:
        return {"$literal": []}
    each = _value(node.item, "$$v", may_lack=False)
    return {"$map": {"input": at, "as": "v", "in": each}}


def _object(node: Node, at: str) -> Expression:
    if node.any_key is not None:
        each = {"k": "$$v.k", "v": _value(node.any_key, "$$v.v", may_lack=False)}
        entries = {"$map": {"input": {"$objectToArray": at}, "as": "v", "in": each}}
        return {"$arrayToObject": entries}
    values: dict[str, Expression] = {}
    for key, child in node.keys.items():
        if is_odd(key):
            values[key] = _with_v(_get(at, key), _value(child, "$$v"))
        else:
            values[key] = _value(child, f"{at}.{key}")
    return _made_of(values)


def _made_of(values: dict[str, Expression]) -> Expression:
    """An object with these keys, whatever they are."""
    if not values:
        return {"$literal": {}}
    if not any(map(is_odd, values)):
        return values
    return {"$arrayToObject": [[{"k": {"$literal": k}, "v": v} for k, v in values.items()]]}


def _absent(node: Node) -> Expression:
    """The value of a node that is absent."""
    found: Expression = {"$literal": given(node, node.default)}
    if node.has_value:
        found = {"$literal": given(node, node.value)}
    elif below := [_is_given(child) for child in node.keys.values() if child.aliased]:
        made = _made_of({key: _absent(child) for key, child in node.keys.items()})
        found = {"$cond": [{"$or": below}, made, found]}
    if node.source is not None:
        taken = {"$cond": [_is_taken(node), _value(node, "$$v", may_lack=False), found]}
        found = _with_v(_reached(node.source), taken)
    return found


def _was_filled(place: Place) -> Expression:
    """True where it is certain that we filled the field in, not its sender."""
    later = [
        {"$gt": ["$schema_version", 0]},
        {"$lt": ["$schema_version", place.since]},
        {"$lte": [place.since, "$_meta.backfilled_to"]},
        {"$in": [{"$ifNull": ["$_meta.untracked", 0]}, [0]]},
    ]
    listed = {"$in": [place.position, {"$ifNull": ["$_meta.filled", []]}]}
    return {"$or": [listed, {"$and": later}]}


def _is_given(node: Node) -> Expression:
    """True where an alias fills something at or below the node."""
    if node.has_value:
        return True
    below = [_is_given(child) for child in node.keys.values() if child.aliased]
    if node.source is not None:
        below.append(_with_v(_reached(node.source), _is_taken(node)))
    return {"$or": below}


def _is_taken(node: Node) -> Expression:
    """True for a value of an alias, in `v`, that the node may have."""
    return {"$or": [_is("null", "$$v"), _is_known(node.types, "$$v")]}


def _reached(source: Source) -> Expression:
    """The value that an alias takes; nothing where we filled it in."""
    found = _below(source.keys)
    if source.place is None:
        return found
    return {"$cond": [_was_filled(source.place), "$$REMOVE", found]}


def _below(keys: tuple[str, ...]) -> Expression:
    """The value that lies below these keys of the document: through objects only."""
    if not any(map(is_odd, keys)):
        path = [f"${'.'.join(keys[:depth])}" for depth in range(1, len(keys) + 1)]
        if not path[1:]:
            return path[0]
        return {"$cond": [{"$and": [_is("object", at) for at in path[:-1]]}, path[-1], "$$REMOVE"]}
    found = _get("$$ROOT", keys[0])
    for key in keys[1:]:
        below = {"$cond": [_is("object", "$$v"), _get("$$v", key), "$$REMOVE"]}
        found = _with_v(found, below)
    return found


def _kept(node: Node, at: str) -> Expression:
    """A value of a type that is not known; where something is hidden, no object or array."""
    if not node.inner:
        return {"$ifNull": [at, None]}
    hidden = {"$in": [{"$type": at}, ["missing", "object", "array"]]}
    return {"$cond": [hidden, None, _unlike_json(at)]}


def _unlike_json(at: str) -> Expression:
    """The value, or the mask for text in which hidden fields may stand."""
    text = {"$cond": [_is("string", at), at, ""]}
    return {"$cond": [{"$regexMatch": {"input": text, "regex": LIKE_JSON}}, MASK, at]}


def _is_known(types: int, at: str) -> Expression:
    """True for a value of one of these JSON types."""
    names = [name for bit, name in _NAMES if types & bit]
    if types & NUMBER:
        if not names:
            return {"$isNumber": at}
        names += ["int", "long", "double", "decimal"]
    elif types & INTEGER:
        names += ["int", "long", "decimal"]
        # One that is a decimal for its size has no fraction.
        whole = {"$or": [{"$ne": [{"$type": at}, "decimal"]}, {"$eq": [{"$mod": [at, 1]}, 0]}]}
        return {"$and": [{"$in": [{"$type": at}, names]}, whole]}
    return _is(names[0], at) if len(names) == 1 else {"$in": [{"$type": at}, names]}


def _is(name: str, at: str) -> Expression:
    return {"$eq": [{"$type": at}, name]}


def _get(at: str, key: str) -> Expression:
    return {"$getField": {"field": {"$literal": key}, "input": at}}


def _with_v(value: Expression, within: Expression) -> Expression:
    return {"$let": {"vars": {"v": value}, "in": within}}
