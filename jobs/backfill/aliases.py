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

from consumer.core.paths import to_key
from consumer.events.documents import as_stored, encode
from consumer.events.take_out import CAN_TELL, LISTED, Expression, is_one, without
from consumer.mongodb.client import SIMPLE, Document
from consumer.mongodb.errors import unavailable
from consumer.schemas.aliases import ABSENT, Parent, Rule, size_of
from consumer.schemas.check import CompiledSchema
from consumer.schemas.compile import ObjectNode
from consumer.schemas.provenance import HELD, Leaving, RuleOrigins, rule_origins
from jobs.backfill.updates import MAX_NESTING, if_object, nesting, pair, parts
from jobs.backfill.values import field_of, is_there, is_type, taken, value_at

# A schema that knows more where an alias reads or writes makes a command that costs more than doing
# it in this process.
_MOST = 200
_VERSION = "$schema_version"
_IS_VERSION = {"$in": [{"$type": _VERSION}, ["int", "long"]]}
# Where the stages keep notes for those that come after them.
_NOTES = "aliased"
_MADE = {"$ifNull": [f"$_meta.{_NOTES}.made", []]}
# BSON's frame of an object around one value with a name of one character.
_FRAME = 8


@dataclass(frozen=True, slots=True)
class Stages:
    """Stages of an update: `first` the aliases, `last` what takes their notes away."""

    first: list[Expression]
    last: list[Expression]


def origins_of(schema: CompiledSchema, stamp: int) -> dict[int, RuleOrigins]:
    """The origins that `Stored` needs, in documents that are filled up to version `stamp`."""
    if schema.aliases is None or schema.version is None:
        return {}
    found = {
        rule.position: rule_origins(rule, schema.version, schema.defaults, stamp)
        for rule in schema.aliases.rules
    }
    return {
        position: RuleOrigins(_stored(each.parents), _stored(each.old), _stored(each.new))
        for position, each in found.items()
    }


def _stored(fields: Sequence[Leaving]) -> tuple[Leaving, ...]:
    return tuple(replace(each, values=as_stored(each.values)) for each in fields)


def alias_stages(schema: CompiledSchema, stamp: int) -> Stages | None:
    """The stages for documents that are filled up to version `stamp`; none without aliases. None
    where they would be too large for a command."""
    if schema.aliases is None or not schema.aliases.rules:
        return Stages([], [])
    origins = origins_of(schema, stamp)
    first: list[Expression] = []
    made: dict[tuple[str, ...], Parent] = {}
    for rule in schema.aliases.rules:
        if _is_too_large(rule, origins[rule.position]):
            return None
        step = _Step(rule, origins[rule.position], schema.aliases.room)
        first.append({"$replaceWith": step.with_all(step.placed())})
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
    origins = origins_of(schema, head.number)[rule.position]
    step = _Step(rule, origins, aliases.room)
    has, keeps = step.with_all(step.has()), step.with_all(step.keeps())
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


@dataclass(frozen=True, slots=True)
class _Step:
    """Expressions of one rule over the variables of `with_all`: `old` and `new` hold what is there,
    `kept` and `sent` what of it is not ours, `chosen` what the field is to be, before it is filled
    downwards (`filled`)."""

    rule: Rule
    origins: RuleOrigins
    room: int

    def with_all(self, then: Expression) -> Expression:
        rule, origins = self.rule, self.origins
        old = (*(parent.key for parent in rule.parents), rule.key)
        new = () if rule.new is None else tuple(map(to_key, rule.new))
        there = {
            "old": {HELD: value_at(old, "$$ROOT")},
            "new": {HELD: value_at(new, "$$ROOT")} if new else {"$literal": {}},
        }
        ours = {
            "kept": without(origins.old, "$$old", _is_certain_default),
            "sent": without(origins.new, "$$new", _may_be_filled),
        }
        filled = _filled("$$chosen", rule.known.objects)
        for name, value in reversed({"chosen": self._chosen(), "filled": filled}.items()):
            then = {"$let": {"vars": {name: value}, "in": then}}
        return {"$let": {"vars": there, "in": {"$let": {"vars": ours, "in": then}}}}

    def placed(self) -> Expression:
        """The document with what the rule puts in it."""
        rule = self.rule
        size = {"$subtract": [_bson_size("$$chosen"), _FRAME - rule.cost]}
        parents = [
            {
                "$cond": [
                    is_type(
                        value_at([each.key for each in rule.parents[:depth]], "$$ROOT"), "object"
                    ),
                    [],
                    [parent.position],
                ]
            }
            for depth, parent in enumerate(rule.parents, 1)
        ]
        made: Any = {"$concatArrays": parents} if parents else []
        put = {"$concatArrays": [made, [rule.position]]}
        new = {"$filter": {"input": put, "cond": {"$not": [{"$in": ["$$this", LISTED]}]}}}
        notes = {
            "room": {"$subtract": [self._room, size]},
            "made": {"$concatArrays": [_MADE, made]},
        }
        meta = {"filled": {"$concatArrays": [LISTED, new]}, _NOTES: notes}
        document = {
            "$mergeObjects": [
                self._put(0, "$$ROOT"),
                {"_meta": {"$mergeObjects": ["$_meta", meta]}},
            ]
        }
        return {
            "$cond": [
                {"$and": [is_there("$$chosen"), self._reaches(0, "$$ROOT")]},
                document,
                "$$ROOT",
            ]
        }

    def has(self) -> Expression:
        """True where what was sent could fill the field, or does."""
        is_new = is_there("$$sent.v") if self.rule.new is not None else True
        free = {"$or": [is_there("$$old.v"), self._reaches(0, "$$ROOT")]}
        return {"$and": [is_new, is_there("$$chosen"), free]}

    def keeps(self) -> Expression:
        """True where the field stays another all the same."""
        return {"$and": [self.has(), is_there("$$kept.v"), {"$ne": ["$$old.v", "$$filled"]}]}

    @property
    def _room(self) -> Expression:
        return {"$ifNull": [f"$_meta.{_NOTES}.room", self.room]}

    def _chosen(self) -> Any:
        rule = self.rule
        known = rule.known
        chosen: Any = "$$REMOVE"
        if rule.value is not ABSENT:
            value = {"$literal": encode({HELD: rule.value})[HELD]}
            has_room = {"$lte": [rule.cost + size_of(rule.value), self._room]}
            chosen = {"$cond": [has_room, value, "$$REMOVE"]}
        if rule.new is None:
            return chosen
        size: Expression = {"$subtract": [_bson_size("$$taken"), _FRAME - rule.cost]}
        fits = {"$and": [is_there("$$taken"), {"$lte": [size, self._room]}]}
        copied = taken("$$sent.v", known.types, known.objects, known.arrays)
        return {"$let": {"vars": {"taken": copied}, "in": {"$cond": [fits, "$$taken", chosen]}}}

    def _reaches(self, depth: int, here: str) -> Expression:
        """True where what is absent at or above the field can be put there."""
        if depth == len(self.rule.parents):
            return {"$not": [is_there("$$kept.v")]}
        at = f"$$at{depth}"
        free = {"$and": [is_type(at, "null"), _is_certain(self.origins.parents[depth])]}
        cases = [
            {"case": is_type(at, "object"), "then": self._reaches(depth + 1, at)},
            {"case": {"$or": [is_type(at, "missing"), free]}, "then": True},
        ]
        value = field_of(self.rule.parents[depth].key, here)
        inside = {"$switch": {"branches": cases, "default": False}}
        return {"$let": {"vars": {f"at{depth}": value}, "in": inside}}

    def _put(self, depth: int, here: str) -> Expression:
        """The object at `here` with the field in it, and with what is made for that."""
        parents = self.rule.parents
        if depth == len(parents):
            return {"$mergeObjects": [here, pair(self.rule.key, "$$filled")]}
        value: Any = "$$filled"
        for key in reversed([*(each.key for each in parents[depth + 1 :]), self.rule.key]):
            value = pair(key, value)
        at = f"$$at{depth}"
        inside = {"$cond": [is_type(at, "object"), self._put(depth + 1, at), value]}
        there = {f"at{depth}": field_of(parents[depth].key, here)}
        return {
            "$mergeObjects": [
                here,
                pair(parents[depth].key, {"$let": {"vars": there, "in": inside}}),
            ]
        }


def _filled_down(path: Sequence[str], parent: Parent) -> Expression:
    """The stage that fills a parent downwards where a rule made it."""

    def put(depth: int, here: str) -> Expression:
        at = f"$$at{depth}"
        last = depth + 1 == len(path)
        inside = {"$mergeObjects": parts(parent.node, at)} if last else put(depth + 1, at)
        value = {"$let": {"vars": {f"at{depth}": field_of(path[depth], here)}, "in": inside}}
        return {"$mergeObjects": [here, pair(path[depth], value)]}

    made = {"$in": [parent.position, _MADE]}
    return {"$replaceWith": {"$cond": [made, put(0, "$$ROOT"), "$$ROOT"]}}


def _filled(here: str, node: ObjectNode | None) -> Any:
    if node is None:
        return here
    return if_object(node, here, {"$mergeObjects": parts(node, here)}, here)


def _bson_size(here: str) -> Expression:
    return {"$bsonSize": {HELD: here}}


def _is_certain(each: Leaving) -> Expression:
    listed = {"$in": [each.position, LISTED]}
    if not each.filled_below:
        return listed
    version = [{"$gt": [_VERSION, 0]}, {"$lt": [_VERSION, each.filled_below]}]
    later = [_IS_VERSION, *version, {"$gte": [_VERSION, each.unsure_below]}, CAN_TELL]
    return {"$or": [listed, {"$and": later}]}


def _is_certain_default(each: Leaving) -> Expression:
    return {"$and": [_is_certain(each), is_one(each.values)]}


def _may_be_filled(each: Leaving) -> Expression:
    listed = {"$in": [each.position, LISTED]}
    if not each.filled_below:
        return listed
    version = [{"$gte": [_VERSION, 0]}, {"$lt": [_VERSION, each.filled_below]}]
    sure = {"$and": [{"$gte": [_VERSION, each.unsure_below]}, CAN_TELL]}
    later = [_IS_VERSION, *version, {"$or": [sure, is_one(each.values)]}]
    return {"$or": [listed, {"$and": later}]}


def _is_too_large(rule: Rule, origins: RuleOrigins) -> bool:
    nodes = [rule.known.objects, *(parent.node for parent in rule.parents)]
    return len(origins.old) + len(origins.new) + sum(map(_keys, filter(None, nodes))) > _MOST


def _keys(node: ObjectNode) -> int:
    if (many := node.any_key) is not None:
        return _keys(many.objects) if many.objects else 0
    below = sum(map(_keys, node.objects.values()))
    items = [array.items.objects for array in node.arrays.values()]
    return len(node.keys) + below + sum(map(_keys, filter(None, items)))
