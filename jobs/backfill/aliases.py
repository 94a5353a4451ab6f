"""Compile aliases to stages of an update that MongoDB carries out, and to counts of documents.

They do to a stored document what `consumer.schemas.defaults.place_later` does to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from consumer.events.documents import as_stored
from consumer.mongodb.client import SIMPLE, Document
from consumer.mongodb.errors import unavailable
from consumer.schemas.alias_expressions import Step
from consumer.schemas.aliases import ABSENT, Parent, Rule
from consumer.schemas.check import CompiledSchema
from consumer.schemas.compile import ObjectNode
from consumer.schemas.expressions import (
    Expression,
    field_of,
    is_there,
    is_type,
    let,
    nesting,
    pair,
    value_at,
)
from consumer.schemas.origin import LISTED, Leaving
from consumer.schemas.provenance import RuleOrigins, rule_origins
from jobs.backfill.updates import MAX_NESTING, if_object, parts

# A schema that knows more where an alias reads or writes makes a command that costs more than doing
# it in this process.
_MOST = 200
# Where the stages keep notes for those that come after them.
_NOTES = "aliased"
_MADE = {"$ifNull": [f"$_meta.{_NOTES}.made", []]}


@dataclass(frozen=True, slots=True)
class Stages:
    """Stages of an update: `first` the aliases, `last` what takes their notes away."""

    first: list[Expression]
    last: list[Expression]


def origins_of(schema: CompiledSchema) -> dict[int, RuleOrigins]:
    """The origins that `Stored` needs."""
    if schema.aliases is None or schema.version is None:
        return {}
    found = {
        rule.position: rule_origins(rule, schema.version, schema.defaults)
        for rule in schema.aliases.rules
    }
    return {
        position: RuleOrigins(_stored(each.parents), _stored(each.old), _stored(each.new))
        for position, each in found.items()
    }


def _stored(fields: Sequence[Leaving]) -> tuple[Leaving, ...]:
    return tuple(replace(each, values=as_stored(each.values)) for each in fields)


def alias_stages(schema: CompiledSchema) -> Stages | None:
    """The stages; none without aliases. None where they would be too large for a command."""
    if schema.aliases is None or not schema.aliases.rules:
        return Stages([], [])
    origins = origins_of(schema)
    first: list[Expression] = []
    made: dict[tuple[str, ...], Parent] = {}
    for rule in schema.aliases.rules:
        if _is_too_large(rule, origins[rule.position]):
            return None
        step = _step(rule, origins[rule.position], schema.aliases.room)
        first.append({"$replaceWith": _with_all(step, _placed(step))})
        for depth, parent in enumerate(rule.parents, 1):
            made[tuple(each.key for each in rule.parents[:depth])] = parent
    # Later, for an alias must not take for sent what this fills.
    first += [_filled_down(path, parent) for path, parent in made.items()]
    return Stages(first, [{"$unset": f"_meta.{_NOTES}"}])


def count(
    events: Collection[Document], schema: CompiledSchema, old: Sequence[str], seconds: float
) -> tuple[int, int] | None:
    """Count the documents that have what fills the field `old` by an alias: those that will get it
    or have it so, and those that keep another value, for it was sent or nobody can tell.

    None when counting takes longer, or it cannot be counted in MongoDB. Raises StoreUnavailable.
    """
    head, aliases = schema.version, schema.aliases
    rule = next((r for r in aliases.rules if r.path == tuple(old)), None) if aliases else None
    if head is None or aliases is None or rule is None:
        return 0, 0
    origins = origins_of(schema)[rule.position]
    step = _step(rule, origins, aliases.room)
    has, keeps = _with_all(step, _has(step)), _with_all(step, _keeps(step))
    if _is_too_large(rule, origins) or nesting(has) > MAX_NESTING:
        return None
    pipeline: list[Document] = [
        {"$match": {"_meta.subject": head.subject}},
        {"$project": {"_id": 0, "has": has, "keeps": keeps}},
        {
            "$group": {
                "_id": None,
                "has": {"$sum": {"$cond": ["$has", 1, 0]}},
                "keeps": {"$sum": {"$cond": ["$keeps", 1, 0]}},
            }
        },
    ]
    try:
        with pymongo.timeout(seconds):
            found = next(events.aggregate(pipeline, collation=SIMPLE), {"has": 0, "keeps": 0})
    except PyMongoError as error:
        if error.timeout and not isinstance(error, ServerSelectionTimeoutError):
            return None
        raise unavailable(error, events.name) from error
    return found["has"] - found["keeps"], found["keeps"]


def _step(rule: Rule, origins: RuleOrigins, room: int) -> Step:
    if rule.value is not ABSENT:
        rule = replace(rule, value=as_stored([rule.value])[0])
    return Step(rule, origins, room={"$ifNull": [f"$_meta.{_NOTES}.room", room]})


def _with_all(step: Step, then: Expression) -> Expression:
    """The same, which may speak of what is chosen as it is `filled` downwards, too."""
    return step.with_all(let("filled", _filled("$$chosen", step.rule.known.objects), then))


def _placed(step: Step) -> Expression:
    """The document with what the rule puts in it."""
    rule = step.rule
    keys = [each.key for each in rule.parents]
    parents = [
        {"$cond": [is_type(value_at(keys[:depth], "$$ROOT"), "object"), [], [parent.position]]}
        for depth, parent in enumerate(rule.parents, 1)
    ]
    made: Any = {"$concatArrays": parents} if parents else []
    put = {"$concatArrays": [made, [rule.position]]}
    new = {"$filter": {"input": put, "cond": {"$not": [{"$in": ["$$this", LISTED]}]}}}
    notes = {
        "room": {"$subtract": [step.room, step.size]},
        "made": {"$concatArrays": [_MADE, made]},
    }
    meta = {"filled": {"$concatArrays": [LISTED, new]}, _NOTES: notes}
    changed = {"_meta": {"$mergeObjects": ["$_meta", meta]}}
    return {"$cond": [step.places, {"$mergeObjects": [step.put("$$filled"), changed]}, "$$ROOT"]}


def _has(step: Step) -> Expression:
    """True where what was sent could fill the field, or does."""
    is_new = is_there("$$sent") if step.rule.new is not None else True
    free = {"$or": [is_there("$$old"), step.reaches()]}
    return {"$and": [is_new, is_there("$$chosen"), free]}


def _keeps(step: Step) -> Expression:
    """True where the field stays another all the same."""
    return {"$and": [_has(step), is_there("$$kept"), {"$ne": ["$$old", "$$filled"]}]}


def _filled_down(path: Sequence[str], parent: Parent) -> Expression:
    """The stage that fills a parent downwards where a rule made it."""

    def put(depth: int, here: str) -> Expression:
        at = f"$$at{depth}"
        last = depth + 1 == len(path)
        inside = {"$mergeObjects": parts(parent.node, at)} if last else put(depth + 1, at)
        value = let(at[2:], field_of(path[depth], here), inside)
        return {"$mergeObjects": [here, pair(path[depth], value)]}

    made = {"$in": [parent.position, _MADE]}
    return {"$replaceWith": {"$cond": [made, put(0, "$$ROOT"), "$$ROOT"]}}


def _filled(here: str, node: ObjectNode | None) -> Any:
    if node is None:
        return here
    return if_object(node, here, {"$mergeObjects": parts(node, here)}, here)


def _is_too_large(rule: Rule, origins: RuleOrigins) -> bool:
    nodes = [rule.known.objects, *(parent.node for parent in rule.parents)]
    return len(origins.old) + len(origins.new) + sum(map(_keys, filter(None, nodes))) > _MOST


def _keys(node: ObjectNode) -> int:
    if (many := node.any_key) is not None:
        return _keys(many.objects) if many.objects else 0
    below = sum(map(_keys, node.objects.values()))
    items = [array.items.objects for array in node.arrays.values()]
    return len(node.keys) + below + sum(map(_keys, filter(None, items)))
