"""Documents that refuse their filling are stamped without; others are one dead letter a cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson.binary import Binary
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.events.documents import encode
from consumer.schemas.policy import SchemaPolicy, subject_policy
from jobs.backfill.failures import AGAIN_AFTER
from jobs.backfill.job import Backfill, BackfillRules
from tests.support.backfill import (
    AT_ONCE,
    backfill,
    laid_out,
    payload_part,
    read,
    registry,
    store,
)
from tests.support.constraints import CASES
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]

BY_HAND = BackfillRules(0, AT_ONCE.pace, retry_refused=True)


@pytest.mark.parametrize("whole", [False, True], ids=["by an update", "in this process"])
@pytest.mark.parametrize("name", CASES)
def test_what_refuses_its_filling_is_filled_without_what_the_refusal_blames(
    database: Db, name: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if whole:
        monkeypatch.setattr("jobs.backfill.updates.MAX_NESTING", 0)
    case = CASES[name]
    schemas = registry(database, case.policy)
    # They come before anything else is known, so that a backfill has to fill all of it.
    for number in range(3):
        store(database, schemas, str(number), case.sent)
    for number, payload in enumerate(case.knows):
        # What these send may be refused, and is known all the same.
        schemas.admit("s", payload, f"known {number}")
    case.constrain(database)
    sent = payload_part(read(database)["2"])

    result = backfill(database, schemas)(Run())

    after = read(database)
    head = schemas.head("s")
    assert head is not None
    assert (result["documents"], result["failed"], result["remaining"]) == (3, 0, 0)
    assert {document["_meta"]["backfilled_to"] for document in after.values()} == {head.number}
    unfilled = [document for document in after.values() if "unfilled" in document["_meta"]]
    assert len(unfilled) == 3 - case.spared == result["unfilled"]
    assert {document["_meta"]["unfilled"] for document in unfilled} == {head.number}
    assert [payload_part(document) for document in unfilled] == [case.stored] * len(unfilled)
    assert sent == case.sent
    assert database["dead_letter_queue"].count_documents({}) == 0


def test_what_more_constraints_refuse_than_are_tried_one_by_one_is_stamped_alone(
    database: Db,
) -> None:
    schemas = registry(database)
    names = "bcdefg"
    for number in range(2):
        store(database, schemas, str(number), {"a": number})
    schemas.admit("s", dict.fromkeys(names, 1), "known")
    for name in names:
        database["events"].create_index(
            name, unique=True, partialFilterExpression={name: {"$exists": True}}
        )

    result = backfill(database, schemas)(Run())

    after = read(database)
    assert (result["documents"], result["unfilled"], result["remaining"]) == (2, 1, 0)
    found = sorted((payload_part(document) for document in after.values()), key=len)
    assert [list(each)[1:] for each in found] == [[], list(names)]


def refusing(database: Db, of: Document, documents: int = 2) -> tuple[Any, Backfill]:
    """Documents of which some refuse even the stamp, under a validator."""
    schemas = registry(database)
    for number in range(documents):
        store(database, schemas, str(number), {"a": number})
    store(database, schemas, "new", {"b": 1})
    database.command("collMod", "events", validator={"$nor": [of]})
    return schemas, backfill(database, schemas)


def letters(database: Db) -> list[Document]:
    return list(database["dead_letter_queue"].find().sort("_id"))


def reads(database: Db, act: Callable[[], object]) -> int:
    """The number of documents of `events` that MongoDB looked at for it."""
    database.command("profile", 2)
    act()
    database.command("profile", 0)
    found = database["system.profile"].find({"ns": f"{database.name}.events"})
    return sum(row.get("docsExamined", 0) for row in found)


def test_documents_that_refuse_even_the_stamp_are_one_dead_letter_and_the_rest_goes_on(
    database: Db,
) -> None:
    _, job = refusing(database, {"a": {"$gte": 3, "$lt": 33}}, documents=250)

    result = job(Run())

    assert (result["documents"], result["failed"], result["remaining"]) == (220, 30, 30)
    (letter,) = letters(database)
    assert (letter["reason"], letter["status"]) == ("migration_failed", "pending_inspection")
    assert (letter["documents"], letter["code"], letter["to_version"]) == (30, 121, 2)
    assert len(letter["document_ids"]) == 20
    assert set(letter["document_ids"]) <= {str(number) for number in range(3, 33)}
    assert "the validator" in letter["error_message"]
    # All others are filled, not only stamped.
    assert database["events"].count_documents({"b": None, "_meta.unfilled": None}) == 250


def test_refused_documents_are_not_read_again_while_nothing_changes(database: Db) -> None:
    _, job = refusing(database, {"a": {"$gte": 0}}, documents=60)
    assert reads(database, lambda: job(Run())) >= 60
    database["system.profile"].drop()

    examined = reads(database, lambda: job(Run()))
    again = job(Run())

    assert examined == 0
    assert (again["documents"], again["failed"], again["passed_over"]) == (0, 0, 60)
    assert again["remaining"] == 60
    assert letters(database)[0]["seen"] == 1


def test_they_are_tried_again_when_the_validator_changes_after_a_day_and_by_hand(
    database: Db,
) -> None:
    schemas, job = refusing(database, {"a": {"$gte": 0}})
    job(Run())
    tomorrow = backfill(database, schemas, clock=lambda: utc_now() + AGAIN_AFTER)

    assert backfill(database, schemas, BY_HAND)(Run())["failed"] == 2
    assert tomorrow(Run())["failed"] == 2
    database.command("collMod", "events", validator={"$nor": [{"a": 1}]})
    assert job(Run())["documents"] == 1
    assert letters(database)[0]["documents"] == 1
    database["events"].create_index([("a", 1), ("b", 1)])
    assert job(Run())["failed"] == 1
    database.command("collMod", "events", validator={})
    assert job(Run())["documents"] == 1

    (letter,) = letters(database)
    assert (letter["status"], letter["history"][-1]["result"]) == ("resolved", "filled")
    assert letter["expires_at"] > utc_now()


def test_they_are_tried_again_with_what_comes_late_and_for_a_newer_version(database: Db) -> None:
    stale = registry(database)
    store(database, stale, "stale", {"a": -1})
    schemas, job = refusing(database, {"a": {"$gte": 0}})
    job(Run())
    late = laid_out(stale, "late", {"a": -2})
    assert late["_meta"]["backfilled_to"] == 1
    database["events"].insert_one(encode({**late, "processed_at": utc_now()}))

    assert job(Run())["documents"] == 1
    assert job(Run())["passed_over"] == 2
    store(database, schemas, "newer", {"c": 1})
    assert job(Run())["failed"] == 2
    assert letters(database)[0]["to_version"] == 3


def test_a_dead_letter_that_somebody_discarded_stays_so(database: Db) -> None:
    _, job = refusing(database, {"a": {"$gte": 0}})
    job(Run())
    database["dead_letter_queue"].update_one({}, {"$set": {"status": "discarded"}})
    database["events"].create_index([("a", 1), ("b", 1)])

    assert job(Run())["failed"] == 2
    assert job(Run())["passed_over"] == 2
    assert letters(database)[0]["status"] == "discarded"


def test_dead_letters_of_single_documents_are_tried_once_and_folded(database: Db) -> None:
    _, job = refusing(database, {"a": {"$gte": 1}}, documents=30)
    for subject, number in [*(("s", number) for number in range(30)), ("gone", 99)]:
        database["dead_letter_queue"].insert_one(
            {
                "_id": f"old {number}",
                "reason": "migration_failed",
                "blocked_by": "migration_failed",
                "status": "parked" if number == 7 else "pending_inspection",
                "event_type": subject,
                "document_id": str(number),
                "original_payload": Binary(b""),
                "to_version": 2,
                "last_seen": utc_now(),
                "history": [],
            }
        )

    result = job(Run())

    assert (result["documents"], result["failed"]) == (1, 29)
    still_open = [letter for letter in letters(database) if letter["status"] != "resolved"]
    assert [letter["documents"] for letter in still_open] == [29]
    assert database["dead_letter_queue"].count_documents({"history.result": "folded"}) == 30
    assert job(Run())["passed_over"] == 29


def test_a_pass_that_was_stopped_says_nothing_of_the_rest(database: Db) -> None:
    _, job = refusing(database, {"a": {"$gte": 0}}, documents=300)
    job(Run(stop_after=1))

    assert letters(database) == []
    assert job(Run())["failed"] == 300


def test_a_document_that_would_grow_too_large_is_stamped_without_what_it_lacks(
    database: Db,
) -> None:
    policy = SchemaPolicy(subject_policy(defaults={"b": "x" * 60_000}))
    schemas = registry(database, policy)
    store(database, schemas, "large", {"a": "x" * (16 * 1024 * 1024 - 50_000)})
    store(database, schemas, "small", {"a": "x"})
    store(database, schemas, "new", {"b": "x"})

    result = backfill(database, schemas)(Run())

    after = read(database)
    assert (result["documents"], result["unfilled"], result["failed"]) == (2, 1, 0)
    assert "b" not in after["large"]
    assert after["large"]["_meta"]["unfilled"] == after["large"]["_meta"]["backfilled_to"] == 2
    assert len(after["small"]["b"]) == 60_000
