"""A signed event becomes one document, as sent, under the version of its schema."""

from __future__ import annotations

import hashlib
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

from bson.decimal128 import Decimal128
from pymongo.database import Database
from structlog.testing import capture_logs

from consumer.ingest.signature import SignatureScheme, sign
from tests.support.service import PATH, SECRET, Client, dead_letters, running_service

Db = Database[dict[str, Any]]


def test_signed_event_is_processed_and_stored_as_sent(client: Client, database: Db) -> None:
    body = (
        b'{"type":"contact.created","id":"c-1","n":1.0,"i":1,"at":"2026-05-01T10:00:00Z",'
        b'"agent":{"name":"\xc3\x84nne","skills":[{"level":3}]},"none":null}'
    )

    answer = client.post(body)

    assert (answer.status, answer.json) == (200, {"status": "processed", "schema_version": 1})
    assert answer.headers["content-type"] == "application/json"
    document = database["events"].find_one()
    assert document is not None
    payload = {k: v for k, v in document.items() if k in json.loads(body)}
    assert json.dumps(payload) == json.dumps(json.loads(body))
    assert document["schema_version"] == 1
    assert document["processed_at"] >= document["_meta"]["received_at"]
    assert document["_meta"]["digest"] == hashlib.sha256(body).hexdigest()
    assert (document["_meta"]["subject"], document["_meta"]["key"]) == ("contact.created", "c-1")


def test_new_field_makes_a_version_and_later_events_without_it_are_filled(
    client: Client, database: Db
) -> None:
    client.post({"id": "1", "type": "t", "a": 1})
    second = client.post({"id": "2", "type": "t", "a": 1, "b": {"c": True}})
    third = client.post({"id": "3", "type": "t", "a": 2})

    assert second.json["schema_version"] == third.json["schema_version"] == 2
    document = database["events"].find_one({"id": "3"})
    assert document is not None
    assert document["b"] is None
    assert document["_meta"]["filled"]
    assert document["_meta"]["exhibited_version"] == 1
    versions = list(database["schema_versions"].find().sort("_id.version"))
    assert [version["_id"] for version in versions] == [
        {"subject": "t", "version": 1},
        {"subject": "t", "version": 2},
    ]
    assert {change["caused_by"] for change in versions[1]["changes"]} == {"2"}


def test_an_address_as_a_key_is_stored_and_is_never_a_field_of_others(
    client: Client, database: Db
) -> None:
    address, number = "user5@example.com", "+15551234567"
    sent = {"participants": {address: {"role": "agent"}}, number: "home", "o": {"a": 1, address: 2}}

    with capture_logs() as lines:
        client.post({"id": "1", "type": "t", **sent})
        client.post({"id": "2", "type": "t", "participants": {}, "o": {"a": 1}})

    first, second = database["events"].find().sort("id")
    assert {key: first[key] for key in sent} == sent
    assert first["_meta"]["untracked"] == 2
    assert second["participants"] == {}
    assert second["o"] == {"a": 1}
    assert not {address, number} & second.keys()
    assert "untracked" not in second["_meta"]
    assert client.get("/metrics").body.count(b'untracked_events_total{guard="data_key"} 1.0') == 1
    assert [line["guard"] for line in lines if line["log_level"] == "warning"] == ["data_key"]
    versions = list(database["schema_versions"].find())
    for told in (*versions, *lines):
        assert address not in str(told)
        assert number not in str(told)


def test_second_delivery_of_an_event_is_stored_once(client: Client, database: Db) -> None:
    client.post({"id": "1", "type": "t"})

    again = client.post({"id": "1", "type": "t"})

    assert (again.status, again.json) == (200, {"status": "duplicate", "schema_version": 1})
    assert database["events"].count_documents({}) == 1


def test_same_id_with_other_content_is_another_document(client: Client, database: Db) -> None:
    client.post({"id": "1", "type": "t", "a": 1})

    other = client.post({"id": "1", "type": "t", "a": 2})

    assert other.json["status"] == "processed"
    assert database["events"].count_documents({"id": "1"}) == 2


def test_with_dedupe_by_id_other_content_is_held_and_kept(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_dedupe="id") as client:
        client.post({"id": "1", "type": "t", "a": 1})
        same = client.post({"id": "1", "type": "t", "a": 1})
        other = client.post({"id": "1", "type": "t", "a": 2})

    assert same.json["status"] == "duplicate"
    assert (other.status, other.json) == (202, {"status": "held"})
    assert database["events"].count_documents({}) == 1
    (entry,) = dead_letters(database)
    assert (entry["reason"], entry["status"]) == ("id_conflict", "held")
    assert (entry["event_id"], entry["event_type"]) == ("1", "t")


def test_twenty_copies_at_once_through_two_processes_worth_of_services_are_one_document(
    mongod_uri: str, database: Db
) -> None:
    bodies = [json.dumps({"id": str(n), "type": "t", "n": n}).encode() for n in range(25)]
    with (
        running_service(mongod_uri, database.name) as one,
        running_service(mongod_uri, database.name) as two,
        ThreadPoolExecutor(20) as pool,
    ):
        jobs = [(one if copy % 2 else two, body) for body in bodies for copy in range(20)]
        answers = list(pool.map(lambda job: job[0].post(job[1]), jobs))

    statuses = [answer.json["status"] for answer in answers]
    assert statuses.count("processed") == 25
    assert statuses.count("duplicate") == 25 * 19
    assert database["events"].count_documents({}) == 25


def test_keys_that_collide_with_ours_are_shadowed(client: Client, database: Db) -> None:
    sent = {"id": "1", "type": "t", "_id": 9, "$where": "w", "schema_version": 4, "_meta": 1}

    assert client.post(sent).status == 200

    document = database["events"].find_one()
    assert document is not None
    assert {item["name"]: item["value"] for item in document["_meta"]["shadowed"]} == {
        "_id": 9,
        "$where": "w",
        "schema_version": 4,
        "_meta": 1,
    }


def test_strange_keys_are_data(client: Client, database: Db) -> None:
    sent = {"id": "1", "type": "t", "x": {"a.b": 1, "$c": 2, "*": 3, "[]": 4, "0": 5, "": 6}}

    assert client.post(sent).status == 200
    assert client.post({"id": "2", "type": "t"}).status == 200

    document = database["events"].find_one({"id": "1"})
    assert document is not None
    assert document["x"] == sent["x"]


def test_big_integer_is_stored_exactly(client: Client, database: Db) -> None:
    assert client.post(b'{"id":98765432109876543210,"type":"t","n":-98765432109876543210}').status

    document = database["events"].find_one()
    assert document is not None
    assert document["n"] == Decimal128("-98765432109876543210")
    versions = list(database["schema_versions"].find())
    assert len(versions) == 1


def test_reference_like_object_is_kept_as_sent(client: Client, database: Db) -> None:
    body = {"id": "1", "type": "t", "x": {"$ref": "c", "$id": "1"}}

    assert client.post(body).status == 200

    assert database["events"].count_documents({"$expr": {"$eq": [{"$type": "$x"}, "object"]}}) == 1


def test_scope_collection_evolves_all_types_together(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_schema_scope="collection") as client:
        client.post({"id": "1", "type": "a", "x": 1})
        answer = client.post({"id": "2", "type": "b", "y": 1})

    assert answer.json["schema_version"] == 2
    assert database["schema_versions"].distinct("_id.subject") == ["events"]


def test_held_change_registers_nothing_and_is_recorded(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_on_new_field="hold") as client:
        client.post({"id": "1", "type": "t"})
        answer = client.post({"id": "2", "type": "t", "extra": 1})

    assert (answer.status, answer.json) == (202, {"status": "held"})
    (entry,) = dead_letters(database)
    assert (entry["reason"], entry["status"]) == ("contract_hold", "held")
    assert [change["path"] for change in entry["changes"]] == [["extra"]]
    assert database["schema_versions"].count_documents({}) == 1


def test_chunked_body_verifies_like_any_other(client: Client, database: Db) -> None:
    body = b'{"id":"1","type":"t","text":"in three parts"}'
    signed = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    connection = http.client.HTTPConnection(*client.service.server.address, timeout=10)
    parts = iter([body[:10], body[10:11], body[11:]])

    connection.request("POST", PATH, parts, signed, encode_chunked=True)

    assert connection.getresponse().status == 200
    connection.close()
    assert database["events"].count_documents({"text": "in three parts"}) == 1


def test_events_that_mongodb_takes_as_sent_are_stored_whatever_an_index_says_of_the_filling(
    client: Client, database: Db
) -> None:
    database["events"].create_index("customer.email", unique=True, sparse=True)
    client.post({"id": "0", "type": "t", "customer": {"email": "a@example.com", "name": "A"}})

    answers = [
        client.post({"id": str(number), "type": "t", "customer": {"name": "B"}})
        for number in range(1, 4)
    ]

    assert [answer.json["status"] for answer in answers] == ["processed"] * 3
    stored = {document["_meta"]["key"]: document for document in database["events"].find()}
    assert stored["1"]["customer"] == {"name": "B", "email": None}
    assert stored["3"]["customer"] == {"name": "B"}
    assert (stored["3"]["_meta"]["unfilled"], stored["3"]["_meta"]["backfilled_to"]) == (1, 1)
    assert "unfilled" not in stored["1"]["_meta"]
    assert database["dead_letter_queue"].count_documents({}) == 0


def test_nothing_is_filled_where_nobody_wants_it_and_each_document_says_so(
    mongod_uri: str, database: Db
) -> None:
    with running_service(mongod_uri, database.name, cxone_defaults="none") as client:
        client.post({"id": "1", "type": "t", "a": 1})
        client.post({"id": "2", "type": "t", "b": {"c": 1}})
        client.post({"id": "3", "type": "t", "b": {}})

    stored = {document["_meta"]["key"]: document for document in database["events"].find()}
    assert "a" not in stored["2"]
    assert stored["3"]["b"] == {}
    assert [stored[key]["_meta"]["unfilled"] for key in "123"] == [1, 2, 2]
    assert not any("filled" in document["_meta"] for document in stored.values())


def test_a_document_grows_no_further_than_the_bound_says(client: Client, database: Db) -> None:
    client.post({"id": "1", "type": "t", **{f"{n:04}" * 256: 1 for n in range(1000)}})
    client.post({"id": "2", "type": "u", **{f"name {n:04}" * 25: 1 for n in range(1000)}})

    client.post({"id": "3", "type": "t"})
    client.post({"id": "4", "type": "u"})

    sizes = {
        row["key"]: row["size"]
        for row in database["events"].aggregate(
            [{"$project": {"_id": 0, "key": "$_meta.key", "size": {"$bsonSize": "$$ROOT"}}}]
        )
    }
    assert sizes["3"] < 1000
    assert 60_000 < sizes["4"] < 66_000
