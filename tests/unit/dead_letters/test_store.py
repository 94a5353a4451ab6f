"""The form of an entry, on mongomock: plain upserts and finds need no server."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import mongomock
import pytest

from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.dead_letters.store import DeadLetter, DeadLetters, entry_id

AT = datetime(2026, 5, 1, tzinfo=timezone.utc)
DIGEST = "d" * 64


def letter(at: datetime = AT, reason: str = "malformed_json", **fields: Any) -> DeadLetter:
    delivery = Delivery(
        "delivery", b"{\xff", Headers({"User-Agent": "x"}), at, Verdict("current", AT)
    )
    return DeadLetter(delivery, DIGEST, reason, "what is wrong", **fields)


@pytest.fixture
def entries() -> Any:
    return mongomock.MongoClient(tz_aware=True)["test"]["dead_letter_queue"]


def test_entry_keeps_the_bytes_the_reason_and_the_verdict(entries: Any) -> None:
    DeadLetters(entries).add(letter(event_id="1", event_type="t"))

    entry = entries.find_one()
    assert bytes(entry["original_payload"]) == b"{\xff"
    assert (entry["reason"], entry["status"]) == ("malformed_json", "pending_inspection")
    assert (entry["event_id"], entry["event_type"]) == ("1", "t")
    assert entry["headers"] == {"user-agent": "x"}
    assert entry["verdict"]["secret"] == "current"
    assert (entry["retry_count"], entry["history"]) == (0, [])


@pytest.mark.parametrize(("reason", "due"), [("malformed_json", AT), ("missing_fields", None)])
def test_only_what_a_sweep_can_help_is_due_at_once(
    entries: Any, reason: str, due: datetime | None
) -> None:
    DeadLetters(entries).add(letter(reason=reason))

    assert entries.find_one()["next_retry_at"] == due


def test_second_copy_counts_and_keeps_the_first_time(entries: Any) -> None:
    letters = DeadLetters(entries)

    letters.add(letter())
    letters.add(letter(AT + timedelta(hours=1)))

    entry = entries.find_one()
    assert entries.count_documents({}) == 1
    assert (entry["seen"], entry["timestamp"]) == (2, AT)
    assert entry["last_seen"] == AT + timedelta(hours=1)


def test_other_reason_for_the_same_body_is_another_entry(entries: Any) -> None:
    letters = DeadLetters(entries)

    letters.add(letter())
    letters.add(letter(reason="contract_hold"))

    assert entries.count_documents({}) == 2
    assert entries.find_one({"reason": "contract_hold"})["status"] == "held"


def test_counting_again_needs_an_entry_and_may_add_a_diagnosis(entries: Any) -> None:
    letters = DeadLetters(entries)
    _id = entry_id("malformed_json", DIGEST)
    absent = letters.count_again(_id, "malformed_json", AT)
    letters.add(letter())

    found = letters.count_again(
        entry_id("malformed_json", DIGEST), "malformed_json", AT, {"diagnosis": "a proxy"}
    )

    assert (absent, found) == (None, "counted")
    assert (entries.find_one()["seen"], entries.find_one()["diagnosis"]) == (2, "a proxy")


def test_prefix_finds_one_entry_or_tells_that_it_is_ambiguous(entries: Any) -> None:
    letters = DeadLetters(entries)
    letters.add(letter())
    letters.add(letter(reason="contract_hold"))

    assert [e["_id"] for e in letters.by_prefix(entry_id("malformed_json", DIGEST)[:8])] == [
        entry_id("malformed_json", DIGEST)
    ]
    assert letters.by_prefix("zz") == []


def test_id_beyond_64_bits_is_kept_as_text(entries: Any) -> None:
    DeadLetters(entries).add(letter(event_id=2**80))

    assert entries.find_one()["event_id"] == str(2**80)
