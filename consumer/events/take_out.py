"""Compile the removal of fillings to an update that MongoDB carries out on each document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consumer.core.paths import to_key
from consumer.schemas.expressions import Expression, is_one, is_there, value_at
from consumer.schemas.origin import (
    IS_LISTED,
    LISTED,
    Leaving,
    is_certain,
    is_possible,
    without,
)

# More fields than this make a command that costs more than doing it in this process.
MOST = 200


@dataclass(frozen=True, slots=True)
class TakeOut:
    """The first `stages` of an update, which do to a document what `remove_fillings` does; and the
    queries for documents in which something was filled in (`held`), and for those that will keep
    something of it (`left`)."""

    stages: list[Expression]
    held: Expression
    left: Expression


def take_out_pipeline(fields: Sequence[Leaving]) -> TakeOut | None:
    """None where there are too many for one command."""
    if not fields or len(fields) > MOST:
        return None
    taken_out = without(fields, "$$ROOT", _goes)
    absent = [
        {"$and": [{"$eq": ["$$this", each.position]}, {"$not": [_holds(each, "$$ROOT")]}]}
        for each in fields
    ]
    stays = {"$filter": {"input": LISTED, "cond": {"$not": [{"$or": absent}]}}}
    listed = {
        "$let": {
            "vars": {"stays": stays},
            "in": {"$cond": [{"$eq": ["$$stays", []]}, "$$REMOVE", "$$stays"]},
        }
    }
    # Where nothing is listed, the missing value stays missing.
    unless = {"$cond": [IS_LISTED, listed, {"$ifNull": ["$_meta.filled", "$$REMOVE"]}]}
    left = {"$let": {"vars": {"after": taken_out}, "in": _holds_filled(fields, "$$after")}}
    return TakeOut(
        [{"$replaceWith": taken_out}, {"$set": {"_meta.filled": unless}}],
        held={"$expr": _holds_filled(fields, "$$ROOT")},
        left={"$expr": left},
    )


def _goes(each: Leaving, here: str) -> Expression:
    return {"$and": [is_one(each.values, here), is_certain(each)]}


def _holds_filled(fields: Sequence[Leaving], here: str) -> Expression:
    return {"$or": [{"$and": [is_possible(each), _holds(each, here)]} for each in fields]}


def _holds(each: Leaving, here: str) -> Expression:
    """True for a value that stands there below the object `here`."""
    return is_there(value_at([to_key(segment) for segment in each.path], here))
