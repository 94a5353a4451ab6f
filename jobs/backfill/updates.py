"""Compile the filling of a schema to an update that MongoDB carries out on each document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from consumer.core.paths import is_reserved
from consumer.events.documents import encode
from consumer.schemas.check import CompiledSchema
from consumer.schemas.compile import ObjectNode
from consumer.schemas.defaults import fillings, holds_back, lacking

Expression = dict[str, Any]

# Keys that can stand in a path of the aggregation language and as a name in its objects.
_PLAIN = re.compile(r"[^.$\0][^.\0]*")
_ROOT = "$$ROOT"
# mongod takes commands nested 200 deep, and some levels are around the update.
MAX_NESTING = 180


def fill_pipeline(schema: CompiledSchema, to: int) -> list[Expression] | None:
    """The update that does to a document what `fill` does to its payload, and stamps it `to`.

    It only ever adds keys that are absent, judged by MongoDB on the document as it is then, so no
    parallel change is overwritten; keys keep their order. None where MongoDB bounds the nesting of
    a command: such a schema must be filled in this process.
    """
    stamp = {"_meta": {"$mergeObjects": ["$_meta", {"$literal": new_stamp(schema, to)}]}}
    pipeline = [{"$replaceWith": {"$mergeObjects": [*_parts(schema.root, _ROOT), stamp]}}]
    return pipeline if nesting(pipeline) <= MAX_NESTING else None


def new_stamp(schema: CompiledSchema, to: int) -> dict[str, int]:
    """Entries of `_meta` once a document is filled up to version `to`. Documents of an older stamp
    lack nearly all that is newer, so what is beyond the bound counts as lacking in each."""
    return {"backfilled_to": to, **({"unfilled": to} if holds_back(schema.root) else {})}


def _parts(node: ObjectNode, here: str) -> list[Any]:
    """The parts to merge for the object at `here`: itself, then what it lacks."""
    parts: list[Any] = [here]
    absent = lacking(node)
    if absent:
        # Once more itself, so that its own values win; the first one keeps the order of its keys.
        parts += [{"$literal": encode(absent)}, here]
    plain: dict[str, Any] = {}
    for key, child in node.objects.items():
        if not fillings(child) or (here == _ROOT and is_reserved(key)):
            continue
        if _PLAIN.fullmatch(key):
            place = f"{here}.{key}"
            merged = {"$mergeObjects": _parts(child, place)}
            plain[key] = _if_object(child, place, merged, place)
        else:
            parts.append(_odd(key, child, here))
    if plain:
        parts.append(plain)
    return parts


def _odd(key: str, child: ObjectNode, here: str) -> Expression:
    """The same for a key with dots, `$` or without characters; $setField would nest siblings."""
    merged = {"$mergeObjects": _parts(child, "$$odd")}
    filled = {"$arrayToObject": [[{"k": {"$literal": key}, "v": merged}]]}
    value = {"$getField": {"field": {"$literal": key}, "input": here}}
    return {
        "$let": {
            "vars": {"odd": value},
            "in": _if_object(child, "$$odd", filled, {"$literal": {}}),
        },
    }


def _if_object(node: ObjectNode, place: str, then: Any, otherwise: Any) -> Expression:
    is_object: Expression = {"$eq": [{"$type": place}, "object"]}
    if node.entries:
        is_object = {"$and": [is_object, {"$ne": [place, {}]}]}
    return {"$cond": [is_object, then, otherwise]}


def nesting(value: Any) -> int:
    """The depth of arrays and objects in each other, encoded ones too."""
    if isinstance(value, Mapping):
        return 1 + max(map(nesting, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(nesting, value), default=0)
    return 0
