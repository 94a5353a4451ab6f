"""One sending is one document, whatever was set between its spooling and its draining."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Event, Headers, Verdict
from consumer.core.errors import StoreUnavailable
from consumer.events.keys import EventKeys, document_id
from consumer.spool.records import decode, encode
from tests.support.dead_letters import bench
from tests.support.jobs import Run
from tests.support.service import eventually, running_service
from tests.support.spool import Spooling, spooling

Db = Database[dict[str, Any]]
Settings = Mapping[str, str]

BODY = b'{"id":"1","other":"2","type":"t"}'
COLLECTION = {"cxone_schema_scope": "collection"}
BY_ID = {"cxone_dedupe": "id"}


def delivery(body: bytes = BODY) -> Delivery:
    return Delivery("d", body, Headers({}), utc_now(), Verdict("current", utc_now()))


def spool(parts: Spooling, body: bytes = BODY) -> None:
    parts.breaker.record_failure(StoreUnavailable("an answer that was lost", away=True))
    assert parts.ingest.store_or_spool(delivery(body)).status == "spooled"


def drain(parts: Spooling) -> dict[str, Any]:
    return parts.drain(Run())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, COLLECTION),
        (COLLECTION, {}),
        ({}, BY_ID),
        (BY_ID, {}),
        (COLLECTION, BY_ID),
        (BY_ID, COLLECTION),
        ({}, {"cxone_id_field": "other"}),
        (BY_ID, {"cxone_type_field": "other"}),
    ],
)
def test_what_was_spooled_and_landed_is_stored_once(
    mongod_uri: str, database: Db, tmp_path: Path, before: Settings, after: Settings
) -> None:
    with spooling(mongod_uri, database.name, tmp_path, **before) as parts:
        parts.ingest.store(delivery())
        spool(parts)

    with spooling(mongod_uri, database.name, tmp_path, **after) as parts:
        assert drain(parts) == {"left": 0, "duplicate": 1}

    assert database["events"].count_documents({}) == 1


def test_what_was_spooled_before_anything_was_known_is_stored_once(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    with spooling(mongod_uri, database.name, tmp_path, **COLLECTION) as parts:
        spool(parts)
    with spooling(mongod_uri, database.name, tmp_path) as parts:
        drain(parts)
        spool(parts)

    with spooling(mongod_uri, database.name, tmp_path, **COLLECTION) as parts:
        assert drain(parts) == {"left": 0, "duplicate": 1}
    assert database["events"].count_documents({}) == 1


def test_other_content_under_the_same_id_is_lost_by_no_change(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    other = b'{"id":"1","type":"t","changed":true}'
    with spooling(mongod_uri, database.name, tmp_path, **BY_ID) as parts:
        parts.ingest.store(delivery())
        spool(parts, other)

    with spooling(mongod_uri, database.name, tmp_path) as parts:
        assert drain(parts) == {"left": 0, "processed": 1}

    assert database["events"].count_documents({"changed": True}) == 1
    assert database["events"].count_documents({}) == 2


def test_a_start_records_the_formula(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, **COLLECTION):
        eventually(lambda: database["database_format"].count_documents({}), 30)

    assert database["database_format"].find_one() == {"_id": "event_key", "subject": "type"}


def test_a_command_with_other_settings_decides_nothing(mongod_uri: str, database: Db) -> None:
    database["events"].insert_one({"_id": "x", "_meta": {"subject": "events"}})
    here = bench(mongod_uri, database)
    here.receive(BODY)
    here.shared.close()

    assert database["database_format"].count_documents({}) == 0


@pytest.mark.parametrize("fresh", [True, False])
def test_the_formula_is_that_of_the_first_start_for_ever(database: Db, *, fresh: bool) -> None:
    event = Event("1", "t", {}, "d" * 64)
    if not fresh:
        # As an older program left them, whose setting was part of the formula.
        database["events"].insert_one({"_id": "x", "_meta": {"subject": "events"}})

    keys = [
        EventKeys(database, scope, "content").of(event)
        for scope in ("collection", "type", "collection")
    ]

    subject = "t" if fresh else "events"
    assert keys == [document_id(subject, "1", "d" * 64)] * 3


def test_documents_of_one_subject_do_not_decide_where_types_are_set(database: Db) -> None:
    database["events"].insert_one({"_id": "x", "_meta": {"subject": "events"}})
    event = Event("1", "t", {}, "d" * 64)

    key = EventKeys(database, "type", "content").of(event)

    assert key == document_id("t", "1", "d" * 64)


def test_a_record_without_a_key_is_read_and_older_programs_read_one_with_it() -> None:
    class Older(msgspec.Struct, frozen=True):
        id: str
        body: bytes

    keyed = encode(delivery().keyed("k"))
    plain: dict[str, Any] = msgspec.msgpack.decode(keyed)
    older = {name: value for name, value in plain.items() if name != "key"}

    assert decode(keyed).key == "k"
    assert decode(msgspec.msgpack.encode(older)).key is None
    assert msgspec.msgpack.decode(keyed, type=Older).body == BODY
