"""Dead letters against a real mongod: claims, requeue, ends, and what their queries read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandListener, CommandStartedEvent

from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.dead_letters.claims import Blocked, Claims
from consumer.dead_letters.requeue import Requeue, WaitingGroup
from consumer.dead_letters.retry import OPEN, NextState
from consumer.dead_letters.store import DeadLetter, DeadLetters
from consumer.mongodb.indexes import create_indexes

Db = Database[dict[str, Any]]

NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
RETENTION = timedelta(days=7)
ATTEMPT = {"at": NOW, "by": "a test", "result": "r"}


@pytest.fixture
def letters(database: Db) -> DeadLetters:
    create_indexes(database)
    return DeadLetters(database["dead_letter_queue"], RETENTION)


def keep(letters: DeadLetters, digest: str = "d", reason: str = "store_error", **more: Any) -> str:
    delivery = Delivery("x", b"{}", Headers({}), NOW, Verdict("current", NOW))
    return letters.add(DeadLetter(delivery, digest, reason, "message", **more))


def claimed(claims: Claims, _id: str) -> dict[str, Any]:
    entry = claims.claim(_id, "one", OPEN)
    assert entry is not None
    return entry


def lapse(database: Db) -> None:
    """Let every claim run out, by the server's clock."""
    database["dead_letter_queue"].update_many({}, [{"$set": {"claim.until": "$$NOW"}}])


def entry(database: Db) -> dict[str, Any]:
    found = database["dead_letter_queue"].find_one()
    assert found is not None
    return found


def test_a_claimed_entry_is_not_to_be_had_by_another(letters: DeadLetters) -> None:
    _id = keep(letters)

    assert letters.claims.claim(_id, "one", OPEN) is not None
    assert letters.claims.claim(_id, "two", OPEN) is None


def test_a_claim_that_ran_out_can_be_taken_and_its_holder_can_write_no_more(
    letters: DeadLetters, database: Db
) -> None:
    _id = keep(letters)
    slow = claimed(letters.claims, _id)
    lapse(database)
    other = claimed(letters.claims, _id)

    waits = Blocked(NextState("parked"), "store_error", "too late")
    assert letters.claims.put_back(slow, waits, ATTEMPT) is False
    assert letters.claims.resolve(slow, "e1", ATTEMPT, NOW) is False
    assert other["claim"]["taken"] == 2
    assert letters.claims.resolve(other, "e2", ATTEMPT, NOW) is True
    assert (entry(database)["resolved_by"], len(entry(database)["history"])) == ("e2", 1)


def test_only_what_is_due_by_the_servers_clock_is_due(letters: DeadLetters, database: Db) -> None:
    soon, later, never = keep(letters, "a"), keep(letters, "b"), keep(letters, "c")
    queue = database["dead_letter_queue"]
    ahead = datetime.now(timezone.utc) + timedelta(hours=1)
    queue.update_one({"_id": later}, {"$set": {"next_retry_at": ahead}})
    queue.update_one({"_id": never}, {"$set": {"next_retry_at": None}})

    assert letters.claims.due(10) == [soon]
    assert letters.claims.claim(later, "x", OPEN, only_due=True) is None
    assert letters.claims.claim(never, "x", OPEN, only_due=True) is None
    assert letters.claims.claim(soon, "x", OPEN, only_due=True) is not None


def test_the_longest_due_comes_first_and_reasons_can_be_left_out(
    letters: DeadLetters, database: Db
) -> None:
    ids = [keep(letters, digest) for digest in "abc"]
    malformed = keep(letters, "d", "malformed_json")
    for days, _id in enumerate([*ids, malformed]):
        at = NOW - timedelta(days=days)
        database["dead_letter_queue"].update_one({"_id": _id}, {"$set": {"next_retry_at": at}})

    assert letters.claims.due(2) == [malformed, ids[2]]
    assert letters.claims.due(9, ["malformed_json"]) == ids[::-1]


def test_ended_entries_expire_and_others_do_not(letters: DeadLetters, database: Db) -> None:
    keep(letters, "open")
    resolved = keep(letters, "resolved")
    discarded = keep(letters, "discarded")
    letters.claims.resolve(claimed(letters.claims, resolved), "e", ATTEMPT, NOW)
    assert letters.claims.discard(discarded, "me", "a test call", NOW)

    queue = database["dead_letter_queue"]
    assert queue.count_documents({"expires_at": NOW + RETENTION, "ended_at": NOW}) == 2
    assert queue.count_documents({"expires_at": {"$exists": False}}) == 1
    (ttl,) = [row for row in queue.list_indexes() if "expireAfterSeconds" in row]
    assert (dict(ttl["key"]), ttl["expireAfterSeconds"]) == ({"expires_at": 1}, 0)


def test_what_has_ended_or_is_being_tried_is_not_discarded(letters: DeadLetters) -> None:
    _id = keep(letters)
    held = claimed(letters.claims, _id)

    assert letters.claims.discard(_id, "me", "why", NOW) is False
    letters.claims.resolve(held, "e", ATTEMPT, NOW)
    assert letters.claims.discard(_id, "me", "why", NOW) is False


def test_history_is_bounded_and_attempts_are_counted(letters: DeadLetters, database: Db) -> None:
    _id = keep(letters)
    waits = Blocked(NextState("pending_retry", NOW), "store_error", "again")
    for _ in range(60):
        letters.claims.put_back(claimed(letters.claims, _id), waits, ATTEMPT)

    assert (len(entry(database)["history"]), entry(database)["retry_count"]) == (50, 60)


def test_another_reason_than_before_begins_to_wait_anew(letters: DeadLetters, database: Db) -> None:
    _id = keep(letters)
    requeue = Requeue(database["dead_letter_queue"])
    requeue.mark_tried(WaitingGroup("store_error", None, None), OPEN, "w1")
    waits = Blocked(NextState("held"), "contract_hold", "held", {"changes": []})

    letters.claims.put_back(claimed(letters.claims, _id), waits, ATTEMPT)

    assert requeue.groups(["contract_hold"], OPEN) == [WaitingGroup("contract_hold", None, None)]
    assert (entry(database)["reason"], entry(database)["changes"]) == ("store_error", [])


def test_only_the_group_that_waits_for_a_change_is_made_due(
    letters: DeadLetters, database: Db
) -> None:
    requeue = Requeue(database["dead_letter_queue"])
    for digest, event_type in (("a", "t"), ("b", "t"), ("c", "u")):
        keep(letters, digest, "contract_hold", event_type=event_type)
    first = WaitingGroup("contract_hold", "t", None)

    assert requeue.make_due(first, OPEN, "w1", before=NOW) == 0
    assert requeue.mark_tried(first, OPEN, "w1") == 2
    assert requeue.make_due(WaitingGroup("contract_hold", "t", "w1"), OPEN, "w2") == 2
    assert len(letters.claims.due(10)) == 2
    assert set(requeue.groups(["contract_hold"], OPEN)) == {
        WaitingGroup("contract_hold", "t", "w2"),
        WaitingGroup("contract_hold", "u", None),
    }


class Pipelines(CommandListener):
    """Collects what aggregations were sent."""

    def __init__(self) -> None:
        self.sent: list[list[dict[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "aggregate":
            self.sent.append(event.command["pipeline"])

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


def test_depths_and_groups_read_no_entry(
    letters: DeadLetters, database: Db, mongod_uri: str
) -> None:
    keep(letters, "a", "contract_hold", event_type="t")
    keep(letters, "b", "malformed_json")
    pipelines = Pipelines()
    with MongoClient[dict[str, Any]](mongod_uri, event_listeners=[pipelines]) as client:
        queue = client[database.name]["dead_letter_queue"]
        depths = DeadLetters(queue).depths()
        Requeue(queue).groups(["contract_hold", "signature_invalid"], OPEN)

    assert [row[:3] for row in sorted(depths)] == [
        ("contract_hold", "held", 1),
        ("malformed_json", "pending_inspection", 1),
    ]
    assert len(pipelines.sent) == 2
    for pipeline in pipelines.sent:
        plan = database.command(
            "explain",
            {"aggregate": "dead_letter_queue", "pipeline": pipeline, "cursor": {}},
            verbosity="queryPlanner",
        )
        assert "PROJECTION_COVERED" in str(plan)
        assert "FETCH" not in str(plan)
