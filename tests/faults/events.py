"""Events of a schema that drifts, and whether what MongoDB has of them is what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo.database import Database

from consumer.runtime.shared import build_shared
from tests.support.spool import load

Event = dict[str, Any]
Db = Database[dict[str, Any]]
TYPE = "contact.created"


def event(number: int) -> Event:
    """Now and then one has a new field, or one of another type; names and values are odd."""
    kinds = (number, f"text {number}", number / 8, number % 2 == 0, [{"at": number}], None)
    return {
        "id": f"event-{number}",
        "type": TYPE,
        "n": number,
        "float": float(number),
        f"field_{number % 5}": {"deep": [number, {"key": 1.5}]},
        # Fewer new versions in all than the guard allows in an hour.
        f"late_{number // 1000}": "a new field",
        "drifting": kinds[number // 40 % len(kinds)],
        "dotted.name": {"$in": [[], {}, "Zoë 🐦"], "": -0.0},
        "big": 2**63 - 1 + number % 2,
    }


def same(sent: Any, found: Any) -> bool:
    """Equal in value and type, at every path that was sent; more keys may be there."""
    if isinstance(sent, dict):
        return isinstance(found, dict) and all(
            key in found and same(value, found[key]) for key, value in sent.items()
        )
    if isinstance(sent, list):
        return isinstance(found, list) and len(sent) == len(found) and all(map(same, sent, found))
    if type(sent) is int and sent >= 2**63:
        return isinstance(found, Decimal128) and int(found.to_decimal()) == sent
    kind = int if isinstance(found, Int64) else type(found)
    # Their texts, for -0.0 equals 0.0.
    return type(sent) is kind and repr(sent) == repr(kind(found) if kind is int else found)


def verify(database: Db, uri: str, numbers: Sequence[int]) -> None:
    """Every one of these events is stored once and unaltered, none beside them, and the registry
    knows all of it without a gap."""
    documents = {one["n"]: one for one in database["events"].find()}
    assert database["events"].count_documents({}) == len(documents)
    assert sorted(documents) == sorted(numbers)
    altered = [number for number in numbers if not same(event(number), documents[number])]
    assert not altered
    versions = [one["_id"]["version"] for one in database["schema_versions"].find().sort("_id")]
    assert versions == list(range(1, len(versions) + 1))
    shared = build_shared(load(uri, database.name), uri)
    try:
        for number in numbers:
            admission = shared.registry.admit(TYPE, event(number), number)
            assert admission.registered is None
            assert admission.untracked == 0
    finally:
        shared.close()
