"""Compile the filling of a schema to an update that MongoDB carries out on each document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consumer.core.paths import is_reserved
from consumer.events.documents import encode
from consumer.schemas.check import CompiledSchema
from consumer.schemas.compile import ObjectNode
from consumer.schemas.defaults import fillings, holds_back, lacking
from consumer.schemas.expressions import PLAIN, Expression, field_of, is_type, let, nesting, pair

_ROOT = "$$ROOT"
# mongod takes commands nested 200 deep, and some levels are around the update.
MAX_NESTING = 180
# Each condition on the usual document is looked at in every document.
_FEW = 50


def fill_pipeline(schema: CompiledSchema, to: int) -> list[Expression] | None:
    """The update that does to a document what `fill` does to its payload, and stamps it `to`.

    It only ever adds keys that are absent, judged by MongoDB on the document as it is then, so no
    parallel change is overwritten; keys keep their order. None where MongoDB bounds the nesting of
    a command: such a schema must be filled in this process.
    """
    stamp = {"_meta": {"$mergeObjects": ["$_meta", {"$literal": new_stamp(schema, to)}]}}
    pipeline = [{"$replaceWith": {"$mergeObjects": [*parts(schema.root, _ROOT), stamp]}}]
    return pipeline if nesting(pipeline) <= MAX_NESTING else None


@dataclass(frozen=True, slots=True)
class Usual:
    """The query for documents that lack all fields of a filling and have all objects above these,
    and what a `$set` gives them."""

    query: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def fill_usual(schema: CompiledSchema, to: int) -> Usual | None:
    """The same as `fill_pipeline` for the usual document at a quarter of the price (34 for 129 us
    of mongod's CPU with 7 KB, by a stretch of the index): MongoDB neither builds such a document
    anew nor compares it with what it was. None where names or values are odd, fields many, or
    aliases look at values."""
    usual = Usual()
    if schema.aliases is not None or not _add_usual(schema.root, "", usual):
        return None
    usual.values.update({f"_meta.{key}": value for key, value in new_stamp(schema, to).items()})
    return usual


def _add_usual(node: ObjectNode, above: str, usual: Usual) -> bool:
    absent = encode(lacking(node))
    for key, value in absent.items():
        if not PLAIN.fullmatch(key) or (isinstance(value, (Mapping, list)) and value):
            return False
        usual.query[above + key] = {"$exists": False}
        usual.values[above + key] = value
    for key, child in node.objects.items():
        if key in absent or not fillings(child) or (not above and is_reserved(key)):
            continue
        # An array of objects is of the type of its items, too.
        usual.query[above + key] = {"$type": "object", "$not": {"$type": "array"}}
        if child.entries or not PLAIN.fullmatch(key):
            return False
        if not _add_usual(child, f"{above}{key}.", usual):
            return False
    return len(usual.query) <= _FEW


def new_stamp(schema: CompiledSchema, to: int) -> dict[str, int]:
    """Entries of `_meta` once a document is filled up to version `to`. Documents of an older stamp
    lack nearly all that is newer, so what is beyond the bound counts as lacking in each."""
    lacks = holds_back(schema.root) or (schema.aliases is not None and schema.aliases.left_out)
    return {"backfilled_to": to, **({"unfilled": to} if lacks else {})}


def parts(node: ObjectNode, here: str) -> list[Any]:
    """The parts to merge for the object at `here`: itself, then what it lacks."""
    merged: list[Any] = [here]
    absent = lacking(node)
    if absent:
        # Once more itself, so that its own values win; the first one keeps the order of its keys.
        merged += [{"$literal": encode(absent)}, here]
    plain: dict[str, Any] = {}
    for key, child in node.objects.items():
        if not fillings(child) or (here == _ROOT and is_reserved(key)):
            continue
        if PLAIN.fullmatch(key):
            place = f"{here}.{key}"
            filled = {"$mergeObjects": parts(child, place)}
            plain[key] = if_object(child, place, filled, place)
        else:
            merged.append(_odd(key, child, here))
    if plain:
        merged.append(plain)
    return merged


def _odd(key: str, child: ObjectNode, here: str) -> Expression:
    """The same for a key with dots, `$` or without characters; $setField would nest siblings."""
    filled = pair(key, {"$mergeObjects": parts(child, "$$odd")})
    return let("odd", field_of(key, here), if_object(child, "$$odd", filled, {"$literal": {}}))


def if_object(node: ObjectNode, place: str, then: Any, otherwise: Any) -> Expression:
    """`then` where the value at `place` is an object that the node fills."""
    is_object = is_type(place, "object")
    if node.entries:
        is_object = {"$and": [is_object, {"$ne": [place, {}]}]}
    return {"$cond": [is_object, then, otherwise]}
