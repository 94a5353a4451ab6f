"""The doctor's advice against an index that refuses events, typed as it says it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import WriteError

from consumer.doctor.constraints import judge_indexes
from consumer.mongodb.indexes import INDEXES, create_indexes
from consumer.mongodb.retention import Retention, apply_retention

Db = Database[dict[str, Any]]
Keys = list[tuple[str, Any]]

NO_LANGUAGES: list[Any] = [None, "", "klingon", 5]
NO_PLACES: list[Any] = ["", "x", 0, {"lat": 1}, {"type": None}, [], None]

# Keys and options of an index, and documents of which at least one is refused, for the kind of a
# value: none of them is when the advice was followed.
CASES: dict[str, tuple[Keys, dict[str, Any], list[dict[str, Any]]]] = {
    "unique and sparse, null": (
        [("customer.email", 1)],
        {"unique": True, "sparse": True},
        [{"customer": {"email": None}}, {"customer": {"email": None}}, {}, {"customer": None}],
    ),
    "unique where it exists, null": (
        [("id2", -1)],
        {"unique": True, "partialFilterExpression": {"id2": {"$exists": True}}},
        [{"id2": None}, {"id2": None}],
    ),
    "unique under a name and a collation": (
        [("a", 1)],
        {"unique": True, "name": "mine", "collation": {"locale": "en", "strength": 2}},
        [{"a": None}, {}],
    ),
    "unique on two fields": ([("a", 1), ("b", 1)], {"unique": True}, [{"a": 1}, {"a": 1}, {}, {}]),
    "text": (
        [("words", "text")],
        {"default_language": "german"},
        [{"words": "w", "language": value} for value in NO_LANGUAGES],
    ),
    "text beside another field": (
        [("kind", 1), ("words", "text")],
        {},
        [{"words": "w", "language": None}],
    ),
    "text on everything": (
        [("$**", "text")],
        {},
        [{"o": {"w": "x", "language": None}}, {"o": {"w": "x", "language": ""}}],
    ),
    "2dsphere": (
        [("place", "2dsphere")],
        {},
        [{"place": value} for value in NO_PLACES],
    ),
    "2d": ([("place", "2d")], {}, [{"place": ["a", "b"]}, {"place": [1]}, {"place": {"lat": "x"}}]),
    "hashed": ([("a", "hashed")], {}, [{"a": [1]}, {"a": ["x"]}]),
    "hashed beside another field": ([("a", "hashed"), ("b", 1)], {}, [{"a": [1]}]),
    "two arrays": ([("a", 1), ("b", -1)], {}, [{"a": [1], "b": [2]}]),
}


def refused(database: Db, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    database["events"].delete_many({})
    found = []
    for document in documents:
        try:
            database["events"].insert_one(dict(document))
        except WriteError:
            found.append(document)
    return found


def type_in(database: Db, advice: str) -> None:
    """Carry out the commands for mongosh that stand in an advice."""
    for call, arguments in re.findall(r"db\.events\.(\w+)\((.*?)\)(?=;|$)", advice):
        first, *rest = json.loads(f"[{arguments}]")
        if call == "dropIndex":
            database["events"].drop_index(first)
        else:
            assert call == "createIndex"
            database["events"].create_index(list(first.items()), **(rest[0] if rest else {}))


def judged(database: Db) -> list[Any]:
    return list(judge_indexes("events", database["events"].list_indexes()))


@pytest.mark.parametrize("case", CASES)
def test_the_advice_heals_the_index(database: Db, case: str) -> None:
    keys, options, documents = CASES[case]
    create_indexes(database)
    name = database["events"].create_index(keys, **options)
    before = refused(database, documents)

    (check,) = judged(database)
    type_in(database, check.advice)

    assert before
    assert check.status == "warn"
    assert f"index {name} on " in check.finding
    assert refused(database, documents) == []


@pytest.mark.parametrize("case", ["text", "2dsphere", "2d", "hashed"])
def test_an_index_that_was_healed_is_not_told_of_again(database: Db, case: str) -> None:
    keys, options, _ = CASES[case]
    database["events"].create_index(keys, **options)

    type_in(database, judged(database)[0].advice)

    assert judged(database) == []


def test_a_healed_unique_index_still_holds_a_value_that_comes_again(database: Db) -> None:
    keys, options, _ = CASES["unique and sparse, null"]
    database["events"].create_index(keys, **options)

    type_in(database, judged(database)[0].advice)

    (check,) = judged(database)
    assert "createIndex" not in check.advice
    assert "a value that comes again" in check.advice


def test_indexes_of_ours_and_those_that_refuse_nothing_are_not_told_of(database: Db) -> None:
    create_indexes(database)
    apply_retention(database, Retention(events=3))
    database["events"].create_index("customer.name")
    database["events"].create_index("$**")

    assert len(INDEXES) > 3
    assert judged(database) == []
