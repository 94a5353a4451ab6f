"""Tell what we filled in from what was sent, by what a stored document says of itself.

`Marks` is the rule; the expressions below it say the same to MongoDB, and a test compares them:
.github/ARCHITECTURE.md#schema-rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumer.core.paths import Path, to_key
from consumer.schemas.expressions import Expression, is_key, is_one, is_there, is_type, let


@dataclass(frozen=True, slots=True)
class Leaving:
    """A field in which something may have been filled in, at `position` of `fields`: what fills, or
    once filled, it is one of `values`.

    A backfill fills it in documents of lower versions than `fill_from`. Those of lower versions
    than `unsure_below`, and of none (0), may have sent it, though it was not known by its name.
    """

    path: Path
    position: int
    values: Sequence[Any]
    fill_from: int
    unsure_below: int = 1


class Marks:
    """Signs in a stored document of what was filled in.

    At ingest that is listed. What a backfill fills has `fill_from` > `schema_version`; where
    something was kept out of the schema (`_meta.untracked`) it counts as sent.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        meta = document.get("_meta") or {}
        filled = meta.get("filled")
        numbers = (_number(each) for each in filled) if isinstance(filled, list) else ()
        self.listed = {each for each in numbers if each >= 0}
        self._version = _number(document.get("schema_version"))
        self._upto = _number(meta.get("backfilled_to"))
        self._is_tracked = meta.get("untracked") in (None, 0)

    def is_certain(self, each: Leaving) -> bool:
        """True where we put there what is there, or was: nobody sent it."""
        sure = self._version >= each.unsure_below and self._is_tracked
        return each.position in self.listed or (sure and self._is_later(each))

    def is_likely(self, each: Leaving, value: Any) -> bool:
        """True where that is certain, or nothing but the value speaks for it."""
        default = self._is_tracked and self._is_later(each) and is_one_of(value, each.values)
        return default or self.is_certain(each)

    def is_possible(self, each: Leaving) -> bool:
        """True where we may have put it there."""
        return each.position in self.listed or self._is_later(each)

    def _is_later(self, each: Leaving) -> bool:
        return 0 <= self._version < each.fill_from <= self._upto


_VERSION, _UPTO = "$schema_version", "$_meta.backfilled_to"
IS_LISTED = {"$isArray": "$_meta.filled"}
LISTED = {"$cond": [IS_LISTED, "$_meta.filled", []]}


def is_certain(each: Leaving) -> Expression:
    """`Marks.is_certain`, of the document at hand."""
    return _listed_or(each, _is_sure(each), *_is_later(each))


def is_likely(each: Leaving, here: str) -> Expression:
    """`Marks.is_likely`, of the value `here`."""
    is_default = {"$and": [_IS_TRACKED, is_one(each.values, here)]}
    return _listed_or(each, {"$or": [_is_sure(each), is_default]}, *_is_later(each))


def is_possible(each: Leaving) -> Expression:
    """`Marks.is_possible`."""
    return _listed_or(each, *_is_later(each))


_IS_TRACKED: Expression = {"$not": ["$_meta.untracked"]}


def _listed_or(each: Leaving, *later: Expression) -> Expression:
    return {"$or": [{"$in": [each.position, LISTED]}, {"$and": list(later)}]}


def _is_sure(each: Leaving) -> Expression:
    return {"$and": [{"$gte": [_VERSION, each.unsure_below]}, _IS_TRACKED]}


def _is_later(each: Leaving) -> list[Expression]:
    whole = ["int", "long"]
    return [
        {"$gte": [_VERSION, 0]},
        {"$lt": [_VERSION, each.fill_from]},
        {"$lte": [each.fill_from, _UPTO]},
        *({"$in": [{"$type": at}, whole]} for at in (_VERSION, _UPTO)),
    ]


@dataclass(slots=True)
class _Node:
    """Fillings at a value, and further down by key."""

    own: list[Leaving] = field(default_factory=list)
    below: dict[str, _Node] = field(default_factory=dict)


def without(
    fields: Sequence[Leaving], here: str, goes: Callable[[Leaving, str], Expression]
) -> Expression:
    """The value `here` without those of the fields, whose paths begin in it, of which `goes` says
    so; missing where it goes itself. First what lies deeper, for what is emptied may be what was
    filled in."""
    root = _Node()
    for each in fields:
        node = root
        for segment in each.path:
            node = node.below.setdefault(to_key(segment), _Node())
        node.own.append(each)
    return _without(root, here, goes)


def _without(node: _Node, here: str, goes: Callable[[Leaving, str], Expression]) -> Expression:
    left: Expression = here
    if node.below:
        branches = [
            {"case": is_key(key), "then": _without(below, "$$this.v", goes)}
            for key, below in node.below.items()
        ]
        value = {"$switch": {"branches": branches, "default": "$$this.v"}}
        pairs = {"$map": {"input": {"$objectToArray": here}, "in": {"k": "$$this.k", "v": value}}}
        kept = {"$filter": {"input": pairs, "cond": is_there("$$this.v")}}
        left = {"$cond": [is_type(here, "object"), {"$arrayToObject": kept}, here]}
    if not node.own:
        return left
    gone = {"$or": [goes(each, "$$left") for each in node.own]}
    return let("left", left, {"$cond": [gone, "$$REMOVE", "$$left"]})


def same(one: Any, other: Any) -> bool:
    """Equal as MongoDB sees it: a boolean is no number, and keys have an order."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(a[0] == b[0] and same(a[1], b[1]) for a, b in pairs)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def is_one_of(value: Any, values: Sequence[Any]) -> bool:
    """True for one of these values: `expressions.is_one`."""
    return any(same(value, each) for each in values)


def _number(value: Any) -> int:
    """A version or position; -1 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
