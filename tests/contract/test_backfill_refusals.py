"""A document that MongoDB refuses to rewrite is kept as a dead letter, and the rest goes on."""

from __future__ import annotations

from typing import Any

from pymongo.database import Database

from consumer.clock import utc_now
from consumer.schema.policy import SchemaPolicy, subject_policy
from consumer.storage.migration_failures import AGAIN_AFTER
from jobs.backfill import BackfillRules
from tests.backfill import (
    AT_ONCE,
    Run,
    backfill,
    read,
    registry,
    store,
)

Document = dict[str, Any]
Db = Database[Document]


def test_a_document_that_the_validator_refuses_is_kept_as_dead_letter_and_the_rest_goes_on(
    database: Db,
) -> None:
    schemas = registry(database)
    for number in range(250):
        store(database, schemas, str(number), {"a": number})
    store(database, schemas, "new", {"b": 1})
    database.command("collMod", "events", validator={"$nor": [{"a": {"$in": [3, 4]}, "b": None}]})
    # The condition holds for an absent b too: those two can not be rewritten at all.
    job = backfill(database, schemas)

    result = job(Run())

    assert (result["documents"], result["failed"], result["remaining"]) == (248, 2, 2)
    entries = list(database["dead_letter_queue"].find().sort("document_id"))
    assert [entry["document_id"] for entry in entries] == ["3", "4"]
    assert {entry["reason"] for entry in entries} == {"migration_failed"}
    assert {(entry["code"], entry["to_version"], entry["seen"]) for entry in entries} == {
        (121, 2, 1)
    }
    assert {entry["status"] for entry in entries} == {"pending_inspection"}


def refused_by_index(database: Db) -> tuple[Any, Any]:
    """Two documents of which a unique index lets only one be filled."""
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"a": 2})
    store(database, schemas, "new", {"b": "x"})
    database["events"].create_index(
        "b", unique=True, name="mine", partialFilterExpression={"b": {"$exists": True}}
    )
    return schemas, backfill(database, schemas)


def test_a_refused_document_is_not_tried_again_until_something_changed(database: Db) -> None:
    schemas, job = refused_by_index(database)
    first = job(Run())

    again = job(Run())
    store(database, schemas, "newer", {"b": "y", "c": 1})
    after_a_version = job(Run())

    assert (first["documents"], first["failed"]) == (1, 1)
    assert (again["documents"], again["failed"], again["passed_over"]) == (0, 0, 1)
    assert after_a_version["failed"] == 1
    assert database["dead_letter_queue"].find_one({}, {"_id": 0, "seen": 1, "code": 1}) == {
        "seen": 2,
        "code": 11000,
    }


def test_a_refused_document_is_tried_again_after_a_day_or_when_a_person_says_so(
    database: Db,
) -> None:
    schemas, job = refused_by_index(database)
    job(Run())
    by_hand = BackfillRules(0, AT_ONCE.pace, retry_refused=True)
    tomorrow = backfill(database, schemas, clock=lambda: utc_now() + AGAIN_AFTER)

    assert backfill(database, schemas, by_hand)(Run())["failed"] == 1
    assert tomorrow(Run())["failed"] == 1

    database["events"].drop_index("mine")
    assert backfill(database, schemas, by_hand)(Run())["documents"] == 1
    (entry,) = database["dead_letter_queue"].find()
    assert (entry["status"], entry["history"][0]["result"]) == ("resolved", "filled")
    assert entry["expires_at"] > utc_now()


def test_an_entry_that_somebody_discarded_is_left_alone(database: Db) -> None:
    schemas, job = refused_by_index(database)
    job(Run())
    database["dead_letter_queue"].update_one({}, {"$set": {"status": "discarded"}})
    store(database, schemas, "newer", {"b": "y", "c": 1})

    result = job(Run())

    by_hand = backfill(database, schemas, BackfillRules(0, AT_ONCE.pace, retry_refused=True))
    assert (result["failed"], result["passed_over"]) == (0, 1)
    assert by_hand(Run())["passed_over"] == 1

    # Even when nothing would refuse it any more.
    database["events"].drop_index("mine")
    assert by_hand(Run())["documents"] == 0


def test_a_document_that_grew_too_large_is_skipped(database: Db) -> None:
    policy = SchemaPolicy(subject_policy(defaults={"b": "x" * 2_000_000}, max_bytes=3_000_000))
    schemas = registry(database, policy)
    store(database, schemas, "large", {"a": "x" * 15_500_000})
    store(database, schemas, "small", {"a": "x"})
    store(database, schemas, "new", {"b": "x"})

    result = backfill(database, schemas)(Run())

    assert (result["documents"], result["failed"]) == (1, 1)
    (entry,) = database["dead_letter_queue"].find()
    assert entry["document_id"] == "large"
    assert "larger than MongoDB takes" in entry["error_message"]
    assert len(read(database)["small"]["b"]) == 2_000_000
