"""Another copy of a kept delivery and its entry, against a real mongod."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.dead_letters.claims import Blocked
from consumer.dead_letters.retry import OPEN, UNRESOLVED, NextState
from consumer.dead_letters.store import DeadLetter, DeadLetters, entry_id
from consumer.mongodb.indexes import create_indexes
from consumer.mongodb.retention import _redate

Db = Database[dict[str, Any]]

# Far ahead, or MongoDB deletes what has expired while a test looks at it.
NOW = datetime(2100, 5, 1, 12, tzinfo=timezone.utc)
LATER = NOW + timedelta(days=6)
RETENTION = timedelta(days=7)
ATTEMPT = {"at": NOW, "by": "a test", "result": "r"}
ENDED = ("ended_at", "expires_at", "resolved_by", "discarded_because", "and_copies")


@pytest.fixture
def letters(database: Db) -> DeadLetters:
    create_indexes(database)
    return DeadLetters(database["dead_letter_queue"], RETENTION)


def keep(letters: DeadLetters, reason: str = "malformed_json", at: datetime = NOW) -> str:
    delivery = Delivery("x", b"{", Headers({}), at, Verdict("current", at))
    return letters.add(DeadLetter(delivery, "d", reason, "message"))


def count(letters: DeadLetters, reason: str = "malformed_json", at: datetime = NOW) -> str:
    """As a delivery does whose signature was refused."""
    assert letters.count_again(entry_id(reason, "d"), reason, at, {"diagnosis": "a proxy"})
    return reason


WAYS = pytest.mark.parametrize("again", [keep, count])


def entry(database: Db) -> dict[str, Any]:
    found = database["dead_letter_queue"].find_one()
    assert found is not None
    return found


def resolve(letters: DeadLetters, _id: str, event: str) -> None:
    claimed = letters.claims.claim(_id, "one", (*UNRESOLVED, "discarded"))
    assert claimed is not None
    assert letters.claims.resolve(claimed, event, ATTEMPT, NOW)


def is_open(found: dict[str, Any], seen: int) -> bool:
    return (
        found["status"] in OPEN
        and found["seen"] == seen
        and found["last_seen"] == LATER
        and not any(name in found for name in ENDED)
    )


@WAYS
@pytest.mark.parametrize(
    ("reason", "status", "due"),
    [
        ("contract_hold", "held", None),
        ("store_error", "pending_retry", LATER),
        ("malformed_json", "pending_inspection", LATER),
        ("missing_fields", "pending_inspection", None),
    ],
)
def test_a_copy_opens_a_discarded_entry_as_if_it_were_new(
    letters: DeadLetters, database: Db, again: Any, reason: str, status: str, due: object
) -> None:
    letters.claims.discard(keep(letters, reason), "me", "by mistake", NOW)

    again(letters, reason, at=LATER)

    found = entry(database)
    assert is_open(found, seen=2)
    assert (found["status"], found["next_retry_at"]) == (status, due)
    assert (found["blocked_by"], found["blocked_at"], found["retry_count"]) == (reason, LATER, 0)
    assert [each["result"] for each in found["history"]] == ["discarded", "reopened"]
    assert letters.claims.claim(found["_id"], "two", OPEN) is not None


@WAYS
def test_a_copy_of_what_was_discarded_with_its_copies_counts_and_is_kept_longer(
    letters: DeadLetters, database: Db, again: Any
) -> None:
    letters.claims.discard(keep(letters), "me", "a load test", NOW, and_copies=True)

    again(letters, at=LATER)

    found = entry(database)
    assert (found["status"], found["seen"], found["last_seen"]) == ("discarded", 2, LATER)
    assert (found["ended_at"], found["expires_at"]) == (NOW, LATER + RETENTION)


@WAYS
def test_a_copy_of_a_resolved_entry_counts_while_its_event_is_stored(
    letters: DeadLetters, database: Db, again: Any
) -> None:
    database["events"].insert_one({"_id": "e"})
    resolve(letters, keep(letters), "e")

    again(letters, at=LATER)

    found = entry(database)
    assert (found["status"], found["seen"], found["resolved_by"]) == ("resolved", 2, "e")
    assert found["expires_at"] == LATER + RETENTION


@WAYS
def test_a_copy_opens_a_resolved_entry_whose_event_is_gone(
    letters: DeadLetters, database: Db, again: Any
) -> None:
    resolve(letters, keep(letters), "deleted by hand")

    again(letters, at=LATER)

    assert is_open(entry(database), seen=2)


@WAYS
@pytest.mark.parametrize("status", UNRESOLVED)
def test_a_copy_of_what_waits_only_counts(
    letters: DeadLetters, database: Db, again: Any, status: str
) -> None:
    claimed = letters.claims.claim(keep(letters), "one", OPEN)
    assert claimed is not None
    letters.claims.put_back(claimed, Blocked(NextState(status), "malformed_json", "m"), ATTEMPT)

    again(letters, at=LATER)

    assert (entry(database)["status"], entry(database)["seen"]) == (status, 2)
    assert "expires_at" not in entry(database)


def test_a_discarded_entry_that_was_retried_in_vain_does_not_expire(
    letters: DeadLetters, database: Db
) -> None:
    letters.claims.discard(keep(letters), "me", "by mistake", NOW, and_copies=True)
    claimed = letters.claims.claim(entry(database)["_id"], "one", ("discarded",))
    assert claimed is not None

    letters.claims.put_back(claimed, Blocked(NextState("held"), "contract_hold", "m"), ATTEMPT)

    assert not any(name in entry(database) for name in ENDED)


def test_an_old_copy_out_of_a_spool_shortens_no_ones_time(
    letters: DeadLetters, database: Db
) -> None:
    letters.claims.discard(keep(letters, at=LATER), "me", "why", LATER, and_copies=True)

    keep(letters, at=NOW)

    assert entry(database)["expires_at"] == LATER + RETENTION


def test_another_retention_counts_from_the_last_copy_too(
    letters: DeadLetters, database: Db
) -> None:
    letters.claims.discard(keep(letters), "me", "why", NOW, and_copies=True)
    keep(letters, at=LATER)

    _redate(database, timedelta(days=3))

    assert entry(database)["expires_at"] == LATER + timedelta(days=3)
