"""Compile the removal of fillings to an update that MongoDB carries out on each document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumer.core.paths import Path, to_key
from consumer.events.documents import encode
from consumer.schemas.provenance import Leaving

Expression = dict[str, Any]
# Says of a filling what makes it go.
Goes = Callable[[Leaving], Expression]

# More fields than this make a command that costs more than doing it in this process.
MOST = 200
_IS_LISTED = {"$isArray": "$_meta.filled"}
LISTED = {"$cond": [_IS_LISTED, "$_meta.filled", []]}
# Nobody can tell sent from filled where something was kept out of the schema.
CAN_TELL = {"$not": ["$_meta.untracked"]}


@dataclass(frozen=True, slots=True)
class TakeOut:
    """The first `stages` of an update, which do to a document what `remove_fillings` does; and the
    queries for documents in which something was filled in (`held`), and for those that will keep
    something of it (`left`)."""

    stages: list[Expression]
    held: Expression
    left: Expression


@dataclass(slots=True)
class _Node:
    """Fields that leave an object, by key, at once and further down."""

    leaves: dict[str, Leaving] = field(default_factory=dict)
    below: dict[str, _Node] = field(default_factory=dict)


def take_out_pipeline(fields: Sequence[Leaving]) -> TakeOut | None:
    """None where there are too many for one command."""
    if not fields or len(fields) > MOST:
        return None
    taken_out = without(fields, "$$ROOT", _goes)
    without_all = {"$cond": [CAN_TELL, taken_out, "$$ROOT"]}
    absent = [
        {"$and": [{"$eq": ["$$this", each.position]}, {"$not": [_holds(each.path, "$$ROOT")]}]}
        for each in fields
    ]
    stays = {"$filter": {"input": "$_meta.filled", "cond": {"$not": [{"$or": absent}]}}}
    listed = {
        "$let": {
            "vars": {"stays": stays},
            "in": {"$cond": [{"$eq": ["$$stays", []]}, "$$REMOVE", "$$stays"]},
        }
    }
    # Where nothing is listed, the missing value stays missing.
    unless = {"$cond": [_IS_LISTED, listed, {"$ifNull": ["$_meta.filled", "$$REMOVE"]}]}
    left = {"$let": {"vars": {"after": without_all}, "in": _holds_filled(fields, "$$after")}}
    return TakeOut(
        [{"$replaceWith": without_all}, {"$set": {"_meta.filled": unless}}],
        held={"$expr": _holds_filled(fields, "$$ROOT")},
        left={"$expr": left},
    )


def without(fields: Sequence[Leaving], here: str, goes: Goes) -> Expression:
    """The object at `here` without those of the fields, whose paths begin in it, of which `goes`
    says so; it speaks of a value as `$$this.v`."""
    root = _Node()
    for each in fields:
        node = root
        for segment in each.path[:-1]:
            node = node.below.setdefault(to_key(segment), _Node())
        node.leaves[to_key(each.path[-1])] = each
    return _without(root, here, goes)


def _goes(each: Leaving) -> Expression:
    return {"$and": [is_one(each.values), _was_filled(each, sure=True)]}


def _without(node: _Node, here: str, goes: Goes) -> Expression:
    """First the objects, for what is emptied may be what was filled in."""
    pairs: Expression = {"$objectToArray": here}
    if node.below:
        branches = [
            {
                "case": {"$and": [is_key(key), {"$eq": [{"$type": "$$this.v"}, "object"]}]},
                "then": _without(below, "$$this.v", goes),
            }
            for key, below in node.below.items()
        ]
        value = {"$switch": {"branches": branches, "default": "$$this.v"}}
        pairs = {"$map": {"input": pairs, "in": {"k": "$$this.k", "v": value}}}
    if node.leaves:
        leaves = [{"$and": [is_key(key), goes(each)]} for key, each in node.leaves.items()]
        pairs = {"$filter": {"input": pairs, "cond": {"$not": [{"$or": leaves}]}}}
    return {"$arrayToObject": pairs}


def is_key(key: str) -> Expression:
    """Expression for the pair `$$this` that has this key."""
    return {"$eq": ["$$this.k", {"$literal": key}]}


def is_one(values: Sequence[Any]) -> Expression:
    """Expression for the pair `$$this` whose value is one of these."""
    return {"$in": ["$$this.v", {"$literal": encode({"values": list(values)})["values"]}]}


def _was_filled(each: Leaving, *, sure: bool) -> Expression:
    """Expression for a field that was filled in, for sure or as far as can be told."""
    at_ingest = {"$in": [each.position, LISTED]}
    if not each.filled_below:
        return at_ingest
    version = "$schema_version"
    later: list[Expression] = [
        {"$in": [{"$type": version}, ["int", "long"]]},
        {"$gte": [version, 0]},
        {"$lt": [version, each.filled_below]},
    ]
    if sure:
        later.append({"$gte": [version, each.unsure_below]})
    return {"$or": [at_ingest, {"$and": later}]}


def _holds_filled(fields: Sequence[Leaving], here: str) -> Expression:
    return {
        "$or": [
            {"$and": [_was_filled(each, sure=False), _holds(each.path, here)]} for each in fields
        ]
    }


def _holds(path: Path, here: str) -> Expression:
    """Expression for a value that stands at the path below the object `here`."""
    value = {"$getField": {"field": {"$literal": to_key(path[0])}, "input": here}}
    found: Expression = {"$ne": [{"$type": "$$at"}, "missing"]}
    if path[1:]:
        found = {"$cond": [{"$eq": [{"$type": "$$at"}, "object"]}, _holds(path[1:], "$$at"), False]}
    return {"$let": {"vars": {"at": value}, "in": found}}
