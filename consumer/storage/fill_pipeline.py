"""Compile the filling of a schema to an update that MongoDB carries out on each document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from consumer.schema.compiled import CompiledSchema
from consumer.schema.count import Check
from consumer.schema.defaults import MAX_ADDED, fill
from consumer.schema.newer import fillings
from consumer.schema.paths import is_reserved
from consumer.schema.trie import ObjectNode
from consumer.storage.documents import encode

Expression = dict[str, Any]

# Keys that can stand in a path of the aggregation language and as a name in its objects.
_PLAIN = re.compile(r"[^.$\0][^.\0]*")
_ROOT = "$$ROOT"
# mongod takes commands nested 200 deep, and some levels are around the update.
_MAX_NESTING = 180


def fill_pipeline(schema: CompiledSchema, to: int) -> list[Expression] | None:
    """The update that does to a document what `fill` does to its payload, and stamps it `to`.

    It only ever adds keys that are absent, judged by MongoDB on the document as it is then, so no
    parallel change is overwritten; keys keep their order. None where `fill` bounds what it adds or
    MongoDB the nesting of a command: such a schema must be filled in this process.
    """
    if fillings(schema.root) > MAX_ADDED:
        return None
    stamp = {"_meta": {"$mergeObjects": ["$_meta", {"backfilled_to": {"$literal": to}}]}}
    pipeline = [{"$replaceWith": {"$mergeObjects": [*_parts(schema.root, _ROOT), stamp]}}]
    return pipeline if _nesting(pipeline) <= _MAX_NESTING else None


def _parts(node: ObjectNode, here: str) -> list[Any]:
    """What to merge for the object at `here`: itself, then what it lacks."""
    parts: list[Any] = [here]
    absent: dict[str, Any] = {}
    fill(absent, Check(gaps=[(absent, node)]))
    if absent:
        # Once more itself, so that its own values win; the first one keeps the order of its keys.
        parts += [{"$literal": encode(absent)}, here]
    plain: dict[str, Any] = {}
    for key, child in node.objects.items():
        if not fillings(child) or (here == _ROOT and is_reserved(key)):
            continue
        if _PLAIN.fullmatch(key):
            place = f"{here}.{key}"
            plain[key] = _if_object(place, {"$mergeObjects": _parts(child, place)}, place)
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
        "$let": {"vars": {"odd": value}, "in": _if_object("$$odd", filled, {"$literal": {}})},
    }


def _if_object(place: str, then: Any, otherwise: Any) -> Expression:
    return {"$cond": [{"$eq": [{"$type": place}, "object"]}, then, otherwise]}


def _nesting(value: Any) -> int:
    """How deep arrays and objects lie in each other, encoded ones too."""
    if isinstance(value, Mapping):
        return 1 + max(map(_nesting, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_nesting, value), default=0)
    return 0
