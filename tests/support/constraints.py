"""Constraints of users that refuse what is filled in, though they take what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database

from consumer.schemas.policy import SchemaPolicy, subject_policy

Document = dict[str, Any]
Db = Database[Document]


@dataclass(frozen=True, slots=True)
class Case:
    """`knows` is sent first, so that its fields are known; then `sent` comes three times. The last
    of these must be stored as `stored`, without the rest of what is known.

    `index` are keys and options of `create_index`, `validator` that of the collection. `spared`:
    how many of the three are stored filled, for nothing refuses them.
    """

    knows: tuple[Document, ...]
    sent: Document
    stored: Document
    index: tuple[tuple[tuple[str, Any], ...], Mapping[str, Any]] | None = None
    validator: Mapping[str, Any] | None = None
    typed: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    spared: int = 0

    @property
    def policy(self) -> SchemaPolicy:
        return SchemaPolicy(subject_policy(typed=self.typed, defaults=self.defaults))

    def constrain(self, database: Db) -> None:
        """Make the index or set the validator on `events`, which need not exist."""
        if self.index is not None:
            keys, options = self.index
            database["events"].create_index(list(keys), **options)
        if self.validator is not None:
            if "events" not in database.list_collection_names():
                database.create_collection("events")
            database.command("collMod", "events", validator=dict(self.validator))


CONTACT = {"customer": {"email": "a@example.com", "name": "A"}, "note": "n"}
NAMED: Document = {"customer": {"name": "A"}}
WITHOUT_EMAIL: Document = {**NAMED, "note": None}
WORDS = {"words": "w", "language": "english", "note": "n"}
PLACE = {"place": {"type": "Point", "coordinates": [8, 50]}, "note": "n"}
PAIR = {"place": {"lat": 1, "lon": 2}, "note": "n"}
ON_EMAIL = (("customer.email", 1),)
IS_NULL: Document = {"bsonType": "null"}

CASES: dict[str, Case] = {
    "unique sparse index": Case(
        (CONTACT,), NAMED, WITHOUT_EMAIL, (ON_EMAIL, {"unique": True, "sparse": True}), spared=1
    ),
    "unique index whose filter a filled field fulfils": Case(
        ({"a": 1, "b": 1, "note": 1},),
        {"a": 7},
        {"a": 7, "note": None},
        ((("a", 1),), {"unique": True, "partialFilterExpression": {"b": {"$exists": True}}}),
        spared=1,
    ),
    "unique index below a filled object": Case(
        ({"o": {"p": {"q": 1}}, "note": "n"},),
        {},
        {"note": ""},
        (
            (("o.p.q", 1),),
            {"unique": True, "partialFilterExpression": {"o.p.q": {"$exists": True}}},
        ),
        typed=True,
        spared=1,
    ),
    "validator that names a string": Case(
        (CONTACT,),
        NAMED,
        WITHOUT_EMAIL,
        validator={
            "$jsonSchema": {
                "properties": {"customer": {"properties": {"email": {"bsonType": "string"}}}}
            }
        },
    ),
    "validator by a query": Case(
        (CONTACT,),
        NAMED,
        WITHOUT_EMAIL,
        validator={
            "$or": [
                {"customer.email": {"$exists": False}},
                {"customer.email": {"$type": "string"}},
            ]
        },
    ),
    "validator by an expression": Case(
        (CONTACT,),
        NAMED,
        WITHOUT_EMAIL,
        validator={"$expr": {"$ne": [{"$type": "$customer.email"}, "null"]}},
    ),
    "validator that says what may not be": Case(
        (CONTACT,),
        {"note": "x"},
        {"note": "x"},
        validator={
            "$jsonSchema": {"not": {"properties": {"customer": IS_NULL}, "required": ["customer"]}}
        },
    ),
    "validator of dependent fields": Case(
        ({"a": 1, "b": 1, "note": "n"},),
        {"note": "x"},
        {"note": "x", "b": None},
        validator={"$jsonSchema": {"dependencies": {"a": ["c"]}}},
    ),
    "validator that knows no other fields": Case(
        ({"a": 1, "b": {"c": 1}},),
        {"b": {}},
        {"b": {"c": None}},
        validator={
            "$jsonSchema": {
                "properties": {
                    name: {} for name in ("_id", "_meta", "schema_version", "processed_at", "b")
                },
                "additionalProperties": False,
            }
        },
    ),
    "validator of how many fields there are": Case(
        ({"a": 1, "b": {"c": 1}},),
        {"b": {}},
        {"b": {}},
        validator={"$expr": {"$lt": [{"$size": {"$objectToArray": "$$ROOT"}}, 6]}},
    ),
    "text index and a language that is null": Case(
        (WORDS,), {"words": "w"}, {"words": "w", "note": None}, ((("words", "text"),), {})
    ),
    "text index and a language that is empty": Case(
        (WORDS,), {"words": "w"}, {"words": "w", "note": ""}, ((("words", "text"),), {}), typed=True
    ),
    "text index on everything": Case(
        ({"o": {"w": "x", "language": "english"}, "note": "n"},),
        {"o": {"w": "x"}},
        {"o": {"w": "x"}, "note": ""},
        ((("$**", "text"),), {}),
        typed=True,
    ),
    "text index with a language field of its own": Case(
        ({"words": "w", "tongue": "english", "language": 1},),
        {"words": "w"},
        {"words": "w", "language": None},
        ((("words", "text"),), {"language_override": "tongue"}),
    ),
    "2dsphere index": Case(
        (PLACE,), {"place": {}}, {"place": {}, "note": None}, ((("place", "2dsphere"),), {})
    ),
    "2dsphere index and typed defaults": Case(
        (PLACE,),
        {"place": {}},
        {"place": {}, "note": ""},
        ((("place", "2dsphere"),), {}),
        typed=True,
    ),
    "2dsphere index on a pair of numbers": Case(
        (PAIR,), {"place": {}}, {"place": {}, "note": None}, ((("place", "2dsphere"),), {})
    ),
    "2d index": Case((PAIR,), {"place": {}}, {"place": {}, "note": None}, ((("place", "2d"),), {})),
    "hashed index": Case(
        ({"b": {"c": "x"}, "note": "n"},),
        {"b": {}},
        {"b": {}, "note": None},
        ((("b.c", "hashed"),), {}),
        defaults={"b.c": []},
    ),
    "index on parallel arrays": Case(
        ({"a": {"x": [1]}, "b": {}}, {"a": {"x": None}, "b": {"y": [1]}, "note": "n"}),
        {"a": {}, "b": {"y": [2]}},
        {"a": {}, "b": {"y": [2]}, "note": ""},
        ((("a.x", 1), ("b.y", 1)), {}),
        typed=True,
    ),
}
