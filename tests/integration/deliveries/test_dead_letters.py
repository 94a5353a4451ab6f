"""Deliveries that cannot become a document are kept, and answered so."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from tests.support.service import Client, dead_letters, running_service

Db = Database[dict[str, Any]]


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (b'{"id":"1","type":"t",}', "Malformed JSON"),
        (b"", "Malformed JSON"),
        (b"\xff\xfe", "Malformed JSON"),
        (b'{"id":"1"}', "Missing required CXone fields: id, type"),
        (b"[1,2]", "Missing required CXone fields: id, type"),
        (b'{"id":"1","type":"t","a":1e400}', None),
        (b'{"id":"1","type":"t","a":"\\ud800"}', None),
        (b'{"id":"1","type":"t","a\\u0000":1}', None),
        (b'{"id":"1","type":"t","a":' + b"9" * 35 + b"}", None),
        (b'{"id":"1","type":"t","a":' + b"[" * 100 + b"]" * 100 + b"}", None),
    ],
)
def test_body_that_is_no_event_is_400_and_kept_unaltered(
    client: Client, database: Db, body: bytes, title: str | None
) -> None:
    answer = client.post(body)

    assert answer.status == 400
    if title:
        assert answer.json["title"].startswith(title)
    (entry,) = dead_letters(database)
    assert bytes(entry["original_payload"]) == body
    assert entry["status"] == "pending_inspection"
    assert entry["verdict"]["secret"] == "current"
    assert database["events"].count_documents({}) == 0
    assert database["schema_versions"].count_documents({}) == 0


def test_same_malformed_body_is_one_entry_that_counts(client: Client, database: Db) -> None:
    for _ in range(3):
        client.post(b"{")

    (entry,) = dead_letters(database)
    assert entry["seen"] == 3
    assert entry["last_seen"] >= entry["timestamp"]


def test_reject_status_202_answers_dead_lettered(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_reject_status="202") as client:
        answer = client.post(b"{")

    assert (answer.status, answer.json) == (202, {"status": "dead_lettered"})
    assert len(dead_letters(database)) == 1


def test_unique_index_of_the_users_holds_the_event_and_never_calls_it_duplicate(
    client: Client, database: Db
) -> None:
    database["events"].create_index("order", unique=True)
    client.post({"id": "1", "type": "t", "order": 7})

    answer = client.post({"id": "2", "type": "t", "order": 7})

    assert (answer.status, answer.json) == (202, {"status": "held"})
    (entry,) = dead_letters(database)
    assert (entry["reason"], entry["status"]) == ("constraint_violation", "held")
    assert "order" in entry["error_message"]


def test_validator_of_the_users_holds_the_event(client: Client, database: Db) -> None:
    database.create_collection("events", validator={"amount": {"$type": "int"}})

    answer = client.post({"id": "1", "type": "t", "amount": "many"})

    assert answer.json == {"status": "held"}
    (entry,) = dead_letters(database)
    assert entry["reason"] == "constraint_violation"
