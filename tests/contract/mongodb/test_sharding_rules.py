"""The rules of sharded clusters that all tests hold the product to are noticed when broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests import conftest
from tests.support.sharding import broken_rules

Document = dict[str, Any]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"update": "events", "updates": [{"q": {"type": "a"}, "u": {"$set": {"a": 1}}}]}, "one"),
        (
            {"update": "events", "updates": [{"q": {"_id": {"$in": ["a"]}}, "u": {"$set": {}}}]},
            "one document is updated",
        ),
        (
            {"update": "events", "updates": [{"q": {}, "u": {"$inc": {"a": 1}}, "multi": True}]},
            "not idempotent",
        ),
        (
            {"update": "events", "updates": [{"q": {}, "u": {}, "multi": True, "upsert": True}]},
            "upsert",
        ),
        ({"delete": "events", "deletes": [{"q": {"a": 1}, "limit": 1}]}, "deleted"),
        ({"findAndModify": "events", "query": {"a": 1}}, "changed"),
        ({"createIndexes": "events", "indexes": [{"name": "a", "unique": True}]}, "unique"),
        ({"create": "events", "capped": True}, "capped"),
        ({"aggregate": "x", "pipeline": [{"$lookup": {"from": "events"}}]}, "looked up"),
        ({"replSetGetStatus": 1}, "mongos"),
    ],
)  # fmt: skip
def test_what_a_sharded_cluster_refuses_is_noticed(command: Document, words: str) -> None:
    (rule,) = broken_rules("d", next(iter(command)), command)

    assert words in rule


@pytest.mark.parametrize(
    "command",
    [
        {"update": "events", "updates": [{"q": {"_id": "a", "x": 1}, "u": {"$inc": {"a": 1}}}]},
        {"update": "events", "updates": [{"q": {}, "u": {"$set": {"a": 1}}, "multi": True}]},
        {"update": "other", "updates": [{"q": {"type": "a"}, "u": {"$inc": {"a": 1}}}]},
        {"delete": "events", "deletes": [{"q": {"a": 1}, "limit": 0}]},
        {"findAndModify": "events", "query": {"_id": "a"}},
        {"createIndexes": "events", "indexes": [{"name": "a"}]},
        {"aggregate": "events", "pipeline": [{"$match": {}}]},
    ],
)
def test_what_it_takes_is_not(command: Document) -> None:
    assert not [*broken_rules("d", next(iter(command)), command)]


def test_a_change_of_many_documents_that_is_not_idempotent_is_noticed(
    database: Database[Document],
) -> None:
    database["events"].insert_many([{"_id": "a", "n": 0}, {"_id": "b", "n": 5}])
    broken = conftest.sharding_rules.broken
    change = "events.update_many({'n': {'$lt': most}}, [{'$set': {'n': {'$add': ['$n', 1]}}}])"
    as_product = compile(
        change, str(Path(conftest.__file__).parents[1] / "consumer" / "x.py"), "exec"
    )

    exec(as_product, {"events": database["events"], "most": 1})
    once = [*broken]
    exec(as_product, {"events": database["events"], "most": 9})
    twice = [*broken]
    broken.clear()

    assert not once
    assert len(twice) == 1
    assert "made twice" in twice[0]
