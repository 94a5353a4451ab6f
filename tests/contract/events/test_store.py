"""The event store against a real mongod: what each refusal means."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from consumer.core.errors import ConstraintViolation, IdConflict, StoreUnavailable, Unstorable
from consumer.events.documents import encode
from consumer.events.store import EventStore
from consumer.mongodb.client import connect, open_database
from consumer.mongodb.indexes import INDEXES, create_indexes
from consumer.signals.store import UNTOLD

Db = Database[dict[str, Any]]


def document(_id: str, digest: str = "d", **fields: Any) -> RawBSONDocument:
    return encode({"_id": _id, **fields, "_meta": {"digest": digest}})


def test_append_tells_new_from_known(database: Db) -> None:
    store = EventStore(database["events"], conflicts_matter=False)

    assert store.append(document("a"), "d") is True
    assert store.append(document("a"), "d") is False
    assert database["events"].count_documents({}) == 1


def test_conflicting_content_under_one_key_is_told(database: Db) -> None:
    store = EventStore(database["events"], conflicts_matter=True)
    store.append(document("a", "one"), "one")

    assert store.append(document("a", "one"), "one") is False
    with pytest.raises(IdConflict):
        store.append(document("a", "two"), "two")


def test_other_unique_index_is_a_constraint_violation_that_names_the_field(database: Db) -> None:
    database["events"].create_index("order", unique=True)
    store = EventStore(database["events"], conflicts_matter=False)
    store.append(document("a", order="secret"), "d")

    with pytest.raises(ConstraintViolation, match="order") as caught:
        store.append(document("b", order="secret"), "d")

    assert "secret" not in str(caught.value)


def test_compound_unique_index_with_the_id_in_it_is_no_duplicate_either(database: Db) -> None:
    database["events"].create_index([("k", 1), ("_id", 1)], unique=True)
    database["events"].create_index([("k", 1)], unique=True, name="k_alone")
    store = EventStore(database["events"], conflicts_matter=False)
    store.append(document("a", k=1), "d")

    with pytest.raises(ConstraintViolation):
        store.append(document("b", k=1), "d")


def test_validator_is_a_constraint_violation(database: Db) -> None:
    database.create_collection("events", validator={"n": {"$type": "int"}})
    store = EventStore(database["events"], conflicts_matter=False)

    with pytest.raises(ConstraintViolation, match="validator"):
        store.append(document("a", n="text"), "d")


def test_document_the_server_finds_too_large_is_unstorable(database: Db) -> None:
    store = EventStore(database["events"], conflicts_matter=False)
    # Past `encode`, which refuses it first: the limit must not depend on one check of ours.
    too_large = RawBSONDocument(bson.encode({"_id": "a", "x": "x" * (17 * 1024 * 1024)}))

    with pytest.raises(Unstorable):
        store.append(too_large, "d")
    assert store.append(document("b"), "d") is True


def test_any_refusal_by_an_index_is_a_constraint_violation_without_the_servers_words(
    database: Db,
) -> None:
    database["events"].create_index([("words", "text")])
    store = EventStore(database["events"], conflicts_matter=False)

    with pytest.raises(ConstraintViolation, match="17262") as caught:
        store.append(document("a", words="w", language="klingon"), "d")

    assert "klingon" not in str(caught.value)


def test_mongodb_away_is_store_unavailable_without_its_address() -> None:
    client = connect("mongodb://user:hush@127.0.0.1:9/?replicaSet=x", timeout=0.2)
    store = EventStore(open_database(client, "d")["events"], conflicts_matter=False)

    with pytest.raises(StoreUnavailable) as caught:
        store.append(document("a"), "d")

    client.close()
    assert "hush" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_writes_are_majority_and_journaled_whatever_the_uri_says(mongod_uri: str) -> None:
    separator = "&" if "?" in mongod_uri else "/?"
    client = connect(f"{mongod_uri}{separator}w=0&journal=false", timeout=5)
    collection = open_database(client, "any")["events"]
    client.close()

    assert collection.write_concern.document == {"w": "majority", "j": True}
    assert collection.read_concern.level == "majority"


def test_every_index_of_the_table_serves_its_query(database: Db) -> None:
    create_indexes(database)
    past = {"$lt": datetime(2026, 1, 1, tzinfo=timezone.utc)}
    # By collection and first key of the index.
    queries = {
        ("dead_letter_queue", "reason"): database["dead_letter_queue"]
        .find({"reason": "malformed_json", "status": "held"})
        .sort("last_seen", -1),
        ("dead_letter_queue", "next_retry_at"): database["dead_letter_queue"]
        .find({"next_retry_at": past, "blocked_by": {"$nin": ["malformed_json"]}})
        .sort("next_retry_at"),
        ("dead_letter_queue", "blocked_by"): database["dead_letter_queue"].find(
            {
                "blocked_by": "contract_hold",
                "status": {"$in": ["held", "pending_retry"]},
                "event_type": "t",
                "tried_with": None,
                "blocked_at": past,
            }
        ),
        ("dead_letter_queue", "resolved_by"): database["dead_letter_queue"].find(
            {"resolved_by": "a"}
        ),
        ("dead_letter_queue", "expires_at"): database["dead_letter_queue"].find(
            {"expires_at": past}
        ),
        ("events", "_meta.subject"): database["events"].find(
            {"_meta.subject": "s", "_meta.backfilled_to": {"$lt": 3}}
        ),
        ("events", "processed_at"): database["events"].find({"processed_at": past}),
        ("events", "_meta.key"): database["events"]
        .find({"_meta.key": {"$in": ["1", 1]}})
        .sort("processed_at", -1),
        ("job_runs", "series"): database["job_runs"].find({"series": "x"}).sort("started_at", -1),
        ("job_runs", "expires_at"): database["job_runs"].find({"expires_at": past}),
        ("ingest_history", "at"): database["ingest_history"].find({"at": past}),
        ("ingest_quarters", "at"): database["ingest_quarters"].find({"at": past}),
        ("audit", "at"): database["audit"].find({"at": past}).sort("at", -1),
        ("schema_versions", "created_at"): database["schema_versions"]
        .find()
        .sort("created_at", -1),
        ("field_statistics", "_id.day"): database["field_statistics"]
        .find({"_id.day": {"$type": "date"}})
        .sort("_id.day"),
        ("signals", "is_told"): database["signals"].find(UNTOLD),
        ("refusals", "at"): database["refusals"].find({"at": past}),
        ("ended_sessions", "expires_at"): database["ended_sessions"].find({"expires_at": past}),
        ("instances", "last_seen"): database["instances"].find({"last_seen": past}),
    }

    for index in INDEXES:
        query = queries[index.collection, index.keys[0][0]]
        plan = query.explain()["queryPlanner"]["winningPlan"]
        assert "IXSCAN" in str(plan)
        assert "SORT'" not in str(plan)


def test_creating_indexes_again_changes_nothing(database: Db) -> None:
    create_indexes(database)
    before = database["dead_letter_queue"].index_information()

    create_indexes(database)

    assert database["dead_letter_queue"].index_information() == before
