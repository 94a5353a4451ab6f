"""Write a projection as the pipeline of a view, which means what `readers.projection` says."""

from __future__ import annotations

from config.settings import MASK
from consumer.mongodb.client import Document
from consumer.readers.projection import (
    LIKE_JSON,
    OURS,
    Node,
    Projection,
    given,
    is_odd,
)
from consumer.schemas.alias_expressions import placed
from consumer.schemas.expressions import Expression, field_of, is_type, let
from consumer.schemas.json_types import ARRAY, BOOLEAN, INTEGER, NUMBER, OBJECT, STRING

_NULL: Document = {"$literal": None}
_NAMES = ((BOOLEAN, "bool"), (STRING, "string"), (OBJECT, "object"), (ARRAY, "array"))


def pipeline(projection: Projection) -> list[Document]:
    """The documents of the subject, each projected. What a view shows unaltered is named as it is,
    so that queries on it reach the indexes."""
    fields = {
        name: let("v", placed(name, projection.steps[name]), _value(node, "$$v"))
        if name in projection.steps
        else _value(node, f"${name}")
        for name, node in projection.fields.items()
    }
    return [
        {"$match": {"_meta.subject": {"$eq": projection.subject}}},
        {"$project": {**dict.fromkeys(OURS, 1), **fields}},
    ]


def _value(node: Node, at: str, *, may_lack: bool = True) -> Expression:
    """The node's value, where the path `at` of an expression has what is stored, if anything."""
    absent = {"$literal": given(node)} if may_lack else _NULL
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
        found = {"$cond": [is_type(at, "array"), _items(node, at), found]}
    if node.types & OBJECT:
        found = {"$cond": [is_type(at, "object"), _object(node, at), found]}
    return found


def _if_absent(at: str, absent: Expression, found: Expression) -> Expression:
    return found if absent == _NULL else {"$cond": [is_type(at, "missing"), absent, found]}


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
            values[key] = let("v", field_of(key, at), _value(child, "$$v"))
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


def _kept(node: Node, at: str) -> Expression:
    """A value of a type that is not known; where something is hidden, no object or array."""
    if not node.inner:
        return {"$ifNull": [at, None]}
    hidden = {"$in": [{"$type": at}, ["missing", "object", "array"]]}
    return {"$cond": [hidden, None, _unlike_json(at)]}


def _unlike_json(at: str) -> Expression:
    """The value, or the mask for text in which hidden fields may stand."""
    text = {"$cond": [is_type(at, "string"), at, ""]}
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
    return is_type(at, names[0]) if len(names) == 1 else {"$in": [{"$type": at}, names]}
