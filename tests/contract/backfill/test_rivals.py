"""A backfill overwrites nothing that others write meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from consumer.mongodb.indexes import BY_STAMP
from consumer.schemas.defaults import newer_than
from jobs.backfill.replace import Whole, fill_whole
from jobs.backfill.store import BackfillStore, upgrade
from tests.support.backfill import backfill, payload_part, read, registry, store
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]


@pytest.mark.parametrize("change", [{"b": "by hand", "n": None}, {"b": "by hand"}, {"n": [{}]}])
def test_a_parallel_change_is_never_overwritten(database: Db, change: Document) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "n": {"x": 1}})
    store(database, schemas, "2", {"b": 1, "n": {"y": 1}})
    schema = newer_than(schemas.compiled("s"), 1)
    plan = upgrade(schema, 1, 2)
    events = database["events"]
    events.create_index(BY_STAMP)
    found = BackfillStore(events)
    ids = found.ids("s", 1, 0, 10)

    # Between the look and the update somebody fills a field himself, or changes an object.
    events.update_one({"_id": "1"}, {"$set": change})
    found.apply(ids, plan)

    filled = {"a": 1, "n": {"x": 1, "y": None}, "b": None}
    assert payload_part(read(database)["1"]) == {**filled, **change}


def test_two_at_once_fill_each_document_once(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    plan = upgrade(newer_than(schemas.compiled("s"), 1), 1, 2)
    database["events"].create_index(BY_STAMP)
    one, other = BackfillStore(database["events"]), BackfillStore(database["events"])
    ids = one.ids("s", 1, 0, 10)

    assert one.apply(ids, plan).documents == 1
    assert other.apply(ids, plan).documents == 0


def test_a_process_with_an_older_head_never_takes_a_stamp_back(database: Db) -> None:
    schemas, stale = registry(database), registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    plan = upgrade(newer_than(stale.compiled("s"), 1), 1, 2)
    database["events"].create_index(BY_STAMP)
    ids = BackfillStore(database["events"]).ids("s", 1, 0, 10)
    store(database, schemas, "3", {"c": 1})
    backfill(database, schemas)(Run())

    done = BackfillStore(database["events"]).apply(ids, plan)

    assert done.documents == 0
    assert read(database)["1"]["_meta"]["backfilled_to"] == 3


def test_filling_here_never_overwrites_a_parallel_change(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    schema = newer_than(schemas.compiled("s"), 1)

    class Changing:
        """The collection, where somebody writes between our look and our update."""

        def with_options(self, **options: Any) -> Any:
            return database["events"].with_options(**options)

        def update_one(self, *arguments: Any, **options: Any) -> Any:
            database["events"].update_one({"_id": "1"}, {"$set": {"a": "by hand"}})
            return database["events"].update_one(*arguments, **options)

    changing: Any = Changing()
    done, refused, _ = fill_whole(changing, ["1"], Whole(1, 2, schema))

    assert (done, [refusal.code for refusal in refused]) == (0, [0])
    assert payload_part(read(database)["1"]) == {"a": "by hand"}
