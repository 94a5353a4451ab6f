"""Say to MongoDB what an alias puts into a document: as `consumer.schemas.aliases` does, where
`provenance.Stored` tells what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumer.core.paths import to_key
from consumer.schemas.aliases import ABSENT, Rule, is_open
from consumer.schemas.compile import ArrayNode, ObjectNode, Types
from consumer.schemas.expressions import (
    Expression,
    field_of,
    is_key,
    is_one,
    is_there,
    is_type,
    let,
    pair,
    value_at,
)
from consumer.schemas.fillable import size_of
from consumer.schemas.origin import Leaving, is_certain, is_likely, without
from consumer.schemas.provenance import RuleOrigins

# BSON's frame of an object around one value with a name of one character.
_FRAME = 8
_NAMES: Mapping[type, Sequence[str]] = {
    bool: ["bool"],
    int: ["int", "long", "decimal"],
    float: ["double"],
    str: ["string"],
    dict: ["object"],
    list: ["array"],
    type(None): ["null"],
}


@dataclass(frozen=True, slots=True)
class Step:
    """Expressions of one rule, which places something in the object `here` of a document, within
    `room` bytes, if there is a bound. They speak of variables that `with_all` binds: `old` is what
    is there, `kept` what of it is not ours, `sent` what an alias takes, `chosen` what the field is
    to be, before it is filled downwards."""

    rule: Rule
    origins: RuleOrigins
    here: str = "$$ROOT"
    room: Expression = None

    def with_all(self, then: Expression) -> Expression:
        rule, origins = self.rule, self.origins
        keys = [*(parent.key for parent in rule.parents), rule.key]
        new = value_at(list(map(to_key, rule.new)), "$$ROOT") if rule.new else "$$REMOVE"
        there = {"old": value_at(keys, self.here), "new": new}
        ours = {
            "kept": without(origins.old, "$$old", _is_filling),
            "sent": without(origins.new, "$$new", is_likely),
        }
        then = let("chosen", self._chosen(), then)
        return {"$let": {"vars": there, "in": {"$let": {"vars": ours, "in": then}}}}

    @property
    def places(self) -> Expression:
        """True where something is put there."""
        return {"$and": [is_there("$$chosen"), self.reaches()]}

    @property
    def size(self) -> Expression:
        """Bytes of what is chosen, with its keys."""
        return self._size("$$chosen")

    def reaches(self, depth: int = 0, here: str = "") -> Expression:
        """True where what is absent at or above the field can be put there."""
        if depth == len(self.rule.parents):
            return {"$not": [is_there("$$kept")]}
        at = f"$$at{depth}"
        free = {"$and": [is_type(at, "null"), is_certain(self.origins.parents[depth])]}
        cases = [
            {"case": is_type(at, "object"), "then": self.reaches(depth + 1, at)},
            {"case": {"$or": [is_type(at, "missing"), free]}, "then": True},
        ]
        value = field_of(self.rule.parents[depth].key, here or self.here)
        return let(at[2:], value, {"$switch": {"branches": cases, "default": False}})

    def put(self, value: str, depth: int = 0, here: str = "") -> Expression:
        """The object with the value in the field, and with what is made for that."""
        parents, here = self.rule.parents, here or self.here
        if depth == len(parents):
            return {"$mergeObjects": [here, pair(self.rule.key, value)]}
        made: Any = value
        for key in reversed([*(each.key for each in parents[depth + 1 :]), self.rule.key]):
            made = pair(key, made)
        at, key = f"$$at{depth}", parents[depth].key
        inside = {"$cond": [is_type(at, "object"), self.put(value, depth + 1, at), made]}
        return {"$mergeObjects": [here, pair(key, let(at[2:], field_of(key, here), inside))]}

    def _size(self, here: str) -> Expression:
        return {"$subtract": [{"$bsonSize": {"v": here}}, _FRAME - self.rule.cost]}

    def _chosen(self) -> Expression:
        rule, known = self.rule, self.rule.known
        chosen: Any = "$$REMOVE"
        if rule.value is not ABSENT:
            chosen = {"$literal": rule.value}
            if self.room is not None:
                has_room = {"$lte": [rule.cost + size_of(rule.value), self.room]}
                chosen = {"$cond": [has_room, chosen, "$$REMOVE"]}
        if rule.new is None:
            return chosen
        fits = is_there("$$taken")
        if self.room is not None:
            fits = {"$and": [fits, {"$lte": [self._size("$$taken"), self.room]}]}
        copied = taken("$$sent", known.types, known.objects, known.arrays)
        return let("taken", copied, {"$cond": [fits, "$$taken", chosen]})


def placed(name: str, steps: Sequence[Step]) -> Expression:
    """The top-level field `name` with what the steps put there: each in the object `$$root` around
    it alone."""
    root: Expression = {name: f"${name}"}
    for step in steps:
        changed = {"$cond": [step.places, step.put("$$chosen"), "$$root"]}
        root = let("root", root, step.with_all(changed))
    return field_of(name, root)


def _is_filling(each: Leaving, here: str) -> Expression:
    return {"$and": [is_certain(each), is_one(each.values, here)]}


def taken(here: str, types: Types, objects: ObjectNode | None, arrays: ArrayNode | None) -> Any:
    """The part of the value `here` that a field can take: objects without what they know
    otherwise, all else as a whole; missing for nothing."""
    whole = {"$cond": [_fits(here, types, objects, arrays), here, "$$REMOVE"]}
    if dict not in types or not objects or objects.any_key is not None:
        return whole
    branches = [
        {
            "case": is_key(key),
            "then": taken("$$this.v", known, objects.objects.get(key), objects.arrays.get(key)),
        }
        for key, known in objects.keys.items()
        if not is_open(known)
    ]
    if not branches:
        return whole
    value = {"$switch": {"branches": branches, "default": "$$this.v"}}
    pairs = {"$map": {"input": {"$objectToArray": here}, "in": {"k": "$$this.k", "v": value}}}
    kept = {"$filter": {"input": pairs, "cond": is_there("$$this.v")}}
    return {"$cond": [is_type(here, "object"), {"$arrayToObject": kept}, whole]}


def _fits(here: str, types: Types, objects: ObjectNode | None, arrays: ArrayNode | None) -> Any:
    if is_open(types):
        return True
    names = [name for kind in types for name in _NAMES[kind]]
    found: Any = {"$in": [{"$type": here}, names]}
    if (
        dict in types
        and objects is not None
        and (inside := _object_fits(here, objects)) is not True
    ):
        found = {"$cond": [is_type(here, "object"), inside, found]}
    if list in types and arrays is not None and not is_open(arrays.items.types):
        many = arrays.items
        each = _fits("$$this", many.types, many.objects, many.arrays)
        found = {"$cond": [is_type(here, "array"), _all(here, each), found]}
    return found


def _object_fits(here: str, node: ObjectNode) -> Any:
    if (many := node.any_key) is not None:
        if is_open(many.types):
            return True
        each = _fits("$$this.v", many.types, many.objects, many.arrays)
        return _all({"$objectToArray": here}, each)
    checks = [
        let(
            "child",
            field_of(key, here),
            {
                "$or": [
                    is_type("$$child", "missing"),
                    _fits("$$child", types, node.objects.get(key), node.arrays.get(key)),
                ]
            },
        )
        for key, types in node.keys.items()
        if not is_open(types)
    ]
    return {"$and": checks} if checks else True


def _all(values: Any, each: Any) -> Expression:
    return {"$allElementsTrue": [{"$map": {"input": values, "in": each}}]}
