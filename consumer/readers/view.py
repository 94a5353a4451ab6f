"""Write a projection as the pipelines of a view, which mean what `readers.projection` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
_KEY, _ENTRY = "$$this.k", "$$this.v"


def base_pipeline(projection: Projection) -> list[Document]:
    """The documents with what aliases put in them, for the base view of all pins of the subject
    with the same defaults: an alias changes that one view, and none of the readers'."""
    fields = {name: placed(name, steps) for name, steps in projection.steps.items()}
    return [{"$addFields": fields}] if fields else []


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
    absent = {"$literal": given(node)} if may_lack else _NULL
    if node.masked and node.types:
        seen = {"$literal": MASK} if node.types & STRING else _NULL
        return _if_absent(at, absent, _choice({"$lte": [at, None]}, None, seen))
    unknown = _unknown(node, at)
    found = _if_absent(at, absent, unknown)
    scalars = node.types & ~(OBJECT | ARRAY)
    if scalars and unknown != {"$ifNull": [at, None]}:
        text = _unlike_json(at) if node.inner and scalars & STRING else at
        found = _choice(_is_known(scalars, at), text, found)
    if node.types & ARRAY:
        found = _choice(is_type(at, "array"), _items(node, at), found)
    if node.types & OBJECT:
        found = _choice(is_type(at, "object"), _object(node, at), found)
    return found


def _choice(condition: Expression, then: Expression, other: Expression) -> Expression:
    """One of two values. MongoDB parses all views of a database whenever one changes: a bare null
    costs it less."""
    return {"$cond": [condition, then, None if other == _NULL else other]}


def _if_absent(at: str, absent: Expression, found: Expression) -> Expression:
    return found if absent == _NULL else _choice(is_type(at, "missing"), absent, found)


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
    scalars = {key: each for key, each in node.keys.items() if node.tabular and each.is_scalar}
    values: dict[str, Expression] = {}
    for key, child in node.keys.items():
        if key in scalars or (scalars and not child.types):
            continue
        if is_odd(key):
            values[key] = let("v", field_of(key, at), _value(child, "$$v"))
        else:
            values[key] = _value(child, f"{at}.{key}")
    if not scalars:
        return _made_of(values)
    # All keys first, for their order.
    absent = {key: given(scalars[key]) if key in scalars else None for key in node.keys}
    rest = [_made_of(values)] if values else []
    return {"$mergeObjects": [{"$literal": absent}, _looked_up(scalars, at), *rest]}


def _looked_up(scalars: Mapping[str, Node], at: str) -> Expression:
    """The object of those of these keys that are there: a tenth of what a check for each costs
    MongoDB to parse."""
    like = next(iter(scalars.values()))
    entries: Expression = {"$objectToArray": at}
    known = _is_in_table(scalars)
    if like.keep or like.inner or any(given(each) is not None for each in scalars.values()):
        entries = _those(entries, _is_among(list(scalars), _KEY))
        text = _unlike_json(_ENTRY) if like.inner else _ENTRY
        value = _choice(known, text, _unknown(like, _ENTRY))
        entries = {"$map": {"input": entries, "in": {"k": _KEY, "v": value}}}
    else:
        entries = _those(entries, known)
    return {"$arrayToObject": entries}


def _is_in_table(scalars: Mapping[str, Node]) -> Expression:
    """True for an entry whose value has a type that its key knows. No name of a type begins with
    another one in the table, so name and key need nothing between them."""
    names = [f"{name}{key}" for key, each in scalars.items() for name in _names(each.types)]
    found = _is_among(names, {"$concat": [{"$type": _ENTRY}, _KEY]})
    whole = [key for key, each in scalars.items() if each.types & INTEGER]
    if not whole:
        return found
    # One that is a decimal for its size has no fraction.
    large = [is_type(_ENTRY, "decimal"), _is_among(whole, _KEY), _is_whole(_ENTRY)]
    return {"$or": [found, {"$and": large}]}


def _is_among(values: Sequence[str], value: Expression) -> Expression:
    """True for one of these: looked up by its hash, which `$in` is not."""
    return {"$gte": [{"$indexOfArray": [{"$literal": values}, value]}, 0]}


def _those(entries: Expression, condition: Expression) -> Expression:
    return {"$filter": {"input": entries, "cond": condition}}


def _made_of(values: dict[str, Expression]) -> Expression:
    """An object with these keys, whatever they are."""
    if not values:
        return {"$literal": {}}
    if not any(map(is_odd, values)):
        return values
    return {"$arrayToObject": [[{"k": {"$literal": k}, "v": v} for k, v in values.items()]]}


def _unknown(node: Node, at: str) -> Expression:
    """A value of a type that is not known; where something is hidden, no object or array."""
    if not node.keep or not node.types:
        return _NULL
    if not node.inner:
        return {"$ifNull": [at, None]}
    hidden = {"$in": [{"$type": at}, ["missing", "object", "array"]]}
    return {"$cond": [hidden, None, _unlike_json(at)]}


def _unlike_json(at: str) -> Expression:
    """The value, or the mask for text in which hidden fields may stand."""
    text = {"$cond": [is_type(at, "string"), at, ""]}
    return {"$cond": [{"$regexMatch": {"input": text, "regex": LIKE_JSON}}, MASK, at]}


def _names(types: int) -> list[str]:
    """The BSON types of these JSON types, but for the integers among decimals."""
    numbers = ["int", "long"] if types & (INTEGER | NUMBER) else []
    if types & NUMBER:
        numbers += ["double", "decimal"]
    return [name for bit, name in _NAMES if types & bit] + numbers


def _is_whole(at: str) -> Expression:
    return {"$eq": [{"$mod": [at, 1]}, 0]}


def _is_known(types: int, at: str) -> Expression:
    """True for a value of one of these JSON types."""
    numeric, others = types & (INTEGER | NUMBER), _names(types & ~(INTEGER | NUMBER))
    known: list[Expression] = []
    if numeric:
        known.append({"$isNumber": at})
        if not numeric & NUMBER:
            known = [{"$and": [*known, {"$ne": [{"$type": at}, "double"]}, _is_whole(at)]}]
    if others:
        one = is_type(at, others[0]) if len(others) == 1 else {"$in": [{"$type": at}, others]}
        known.append(one)
    return known[0] if len(known) == 1 else {"$or": known}
