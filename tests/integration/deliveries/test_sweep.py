"""The sweep tries what can succeed by now, once, and leaves everything else alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.dead_letters.conditions import ConditionStore, ConfiguredConditions
from consumer.mongodb.indexes import create_indexes
from tests.support.dead_letters import Bench, bench
from tests.support.jobs import Run

Db = Database[dict[str, Any]]
Make = Callable[..., Bench]

BODY = b'{"id":"1","type":"t","n":1}'
RAW_NEWLINE = b'{"id":"1","type":"t","note":"line one\nline two"}'


@pytest.fixture
def make(mongod_uri: str, database: Db) -> Iterator[Make]:
    """A sweep under given settings; any number of them, as after so many restarts."""
    create_indexes(database)
    benches: list[Bench] = []

    def made(**settings: str) -> Bench:
        benches.append(bench(mongod_uri, database, **settings))
        return benches[-1]

    yield made
    for each in benches:
        each.shared.close()


def test_malformed_body_gets_one_attempt_with_the_safe_repairs(make: Make, database: Db) -> None:
    here = make()
    assert here.receive(RAW_NEWLINE) == "malformed_json"

    swept = here.sweep()

    assert swept["ended"] == {"resolved": 1}
    document = database["events"].find_one()
    assert document is not None
    assert document["note"] == "line one\nline two"
    assert document["_meta"]["repairs"] == ["control_characters"]
    entry = here.letter()
    assert document["_meta"]["digest"] == entry["digest"]
    assert (entry["status"], entry["resolved_by"]) == ("resolved", document["_id"])
    assert bytes(entry["original_payload"]) == RAW_NEWLINE
    assert entry["expires_at"] - entry["ended_at"] == timedelta(days=30)
    assert "claim" not in entry


@pytest.mark.parametrize("body", [b'{"id":"1","type":"t","no', b'{"id":"1","type":"t",}', b"{"])
def test_what_no_safe_repair_helps_is_tried_once_and_then_inspected(
    make: Make, database: Db, body: bytes
) -> None:
    here = make()
    here.receive(body)

    tried = [here.sweep()["tried"] for _ in range(3)]

    assert tried == [1, 0, 0]
    entry = here.letter()
    assert (entry["status"], entry["retry_count"]) == ("pending_inspection", 1)
    assert database["events"].count_documents({}) == 0


def test_no_body_is_repaired_where_that_is_forbidden(make: Make, database: Db) -> None:
    forbidding = make(cxone_auto_repair="off")
    forbidding.receive(RAW_NEWLINE)

    assert forbidding.sweep()["tried"] == 0
    assert forbidding.letter()["retry_count"] == 0
    assert make(cxone_auto_repair="on").sweep()["ended"] == {"resolved": 1}


def test_refusal_of_the_store_is_tried_again_with_growing_waits_and_parked_in_the_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make(cxone_retry_attempts="3")
    here.sweep()
    # A fault of this program's own, which any refusal of the store that it does not know is like.
    monkeypatch.setattr("consumer.ingest.ingest.layout", None)
    assert here.receive(BODY) == "held"
    assert here.letter()["status"] == "pending_retry"

    waits = []
    for _ in range(3):
        here.make_due()
        here.sweep()
        entry = here.letter()
        waits.append(entry["next_retry_at"] and entry["next_retry_at"] - entry["history"][-1]["at"])

    assert here.sweep()["tried"] == 0
    assert (entry["status"], entry["retry_count"]) == ("parked", 3)
    assert timedelta(seconds=15) <= waits[0] <= timedelta(seconds=30)
    assert timedelta(seconds=30) <= waits[1] <= timedelta(seconds=60)
    assert waits[2] is None
    assert [attempt["result"] for attempt in entry["history"]] == ["store_error"] * 3


def test_refusal_of_the_store_that_passes_is_resolved(
    make: Make, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make()
    with monkeypatch.context() as broken:
        broken.setattr("consumer.ingest.ingest.layout", None)
        here.receive(BODY)
        here.sweep()
    here.make_due()

    assert here.sweep()["ended"] == {"resolved": 1}
    assert database["events"].count_documents({}) == 1


def test_what_waits_for_a_change_is_left_alone_until_there_is_one(make: Make, database: Db) -> None:
    here = make(cxone_on_new_field="hold")
    here.sweep()
    here.receive(BODY)
    assert here.receive(b'{"id":"2","type":"t","new":1}') == "held"
    assert here.receive(b'{"type":"t"}') == "missing_fields"

    assert [here.sweep()["tried"] for _ in range(3)] == [0, 0, 0]
    assert [entry["retry_count"] for entry in here.letters()] == [0, 0]


def test_contract_hold_is_tried_when_its_schema_grew_and_not_when_another_did(
    make: Make, database: Db
) -> None:
    holding = make(cxone_on_new_field="hold")
    holding.sweep()
    for subject in ("t", "u"):
        holding.receive(json.dumps({"id": "1", "type": subject}).encode())
        assert holding.receive(json.dumps({"id": "2", "type": subject, "x": 1}).encode()) == "held"
    holding.sweep()
    # Another process lets the same field in.
    evolving = make()
    evolving.receive(b'{"id":"3","type":"t","x":1}')

    swept = holding.sweep()

    assert (swept["woken"], swept["ended"]) == (1, {"resolved": 1})
    by_type = {entry["event_type"]: entry["status"] for entry in holding.letters()}
    assert by_type == {"t": "resolved", "u": "held"}


def test_contract_hold_is_tried_when_the_contract_evolves(make: Make, database: Db) -> None:
    holding = make(cxone_on_new_field="hold")
    holding.receive(BODY)
    holding.receive(b'{"id":"2","type":"t","n":1,"new":1}')
    holding.sweep()

    assert make().sweep()["ended"] == {"resolved": 1}
    assert database["events"].count_documents({}) == 2


def test_constraint_violation_is_tried_when_the_index_is_gone(make: Make, database: Db) -> None:
    database["events"].create_index("n", unique=True, name="n")
    here = make()
    here.sweep()
    here.receive(BODY)
    assert here.receive(b'{"id":"2","type":"t","n":1}') == "held"
    assert here.sweep()["tried"] == 0
    database["events"].drop_index("n")

    assert here.sweep()["ended"] == {"resolved": 1}
    assert here.sweep()["tried"] == 0


def test_constraint_violation_is_tried_when_the_validator_takes_it(
    make: Make, database: Db
) -> None:
    database.command("collMod", "events", validator={"n": {"$type": "string"}})
    here = make()
    here.sweep()
    assert here.receive(BODY) == "held"
    assert here.sweep()["tried"] == 0
    database.command("collMod", "events", validator={})

    assert here.sweep()["ended"] == {"resolved": 1}


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize(
    ("index", "refused"),
    [
        ([("x", "text")], {"x": "w", "language": "klingon"}),
        ([("x", "2dsphere")], {"x": {"type": "Point", "coordinates": [900, 0]}}),
        ([("x", "2d")], {"x": [900, 0]}),
        ([("x", "hashed")], {"x": [1]}),
        ([("x", 1), ("y", 1)], {"x": [1], "y": [2]}),
    ],
)
def test_constraint_violation_wakes_when_an_index_of_any_kind_is_gone(
    make: Make, database: Db, index: Any, refused: dict[str, Any], parked: bool
) -> None:
    database["events"].create_index(index, name="of the user")
    here = make()
    here.sweep()
    assert here.receive(json.dumps({"id": "1", "type": "t", **refused}).encode()) == "held"
    assert (here.letter()["reason"], here.letter()["status"]) == ("constraint_violation", "held")
    assert "of the user" in here.letter()["error_message"]
    if parked:
        database["dead_letter_queue"].update_one({}, {"$set": {"status": "parked"}})
    assert [here.sweep()["tried"] for _ in range(2)] == [0, 0]
    database["events"].create_index("z")
    assert here.sweep()["tried"] == 0
    database["events"].drop_index("of the user")

    assert here.sweep()["ended"] == {"resolved": 1}
    assert here.sweep()["tried"] == 0


def test_constraint_violation_wakes_though_nobody_saw_the_index_that_refused_it(
    make: Make, database: Db
) -> None:
    here = make()
    here.sweep()
    database["events"].create_index("n", unique=True, name="n")
    here.receive(BODY)
    assert here.receive(b'{"id":"2","type":"t","n":1}') == "held"
    # Gone before the next look.
    database["events"].drop_index("n")

    assert here.sweep()["ended"] == {"resolved": 1}


@pytest.mark.parametrize("status", ["parked", "pending_retry"])
def test_what_an_older_program_took_for_a_refusal_of_the_store_is_tried_once(
    make: Make, database: Db, status: str
) -> None:
    here = make()
    here.receive(b'{"id":"0","type":"t","words":"w","language":"english"}')
    here.receive(b'{"id":"1","type":"t","words":"w"')
    # As an older program left it: refused for the language that it filled in.
    database["dead_letter_queue"].update_one(
        {},
        {
            "$set": {
                "original_payload": b'{"id":"1","type":"t","words":"w"}',
                "reason": "store_error",
                "blocked_by": "store_error",
                "status": status,
                "next_retry_at": None,
                "retry_count": 10,
            }
        },
    )
    database["events"].create_index([("words", "text")])

    assert here.sweep()["ended"] == {"resolved": 1}
    assert database["events"].count_documents({"_meta.unfilled": 1}) == 1


def test_signature_failure_is_verified_again_when_the_secrets_are_others(
    make: Make, database: Db
) -> None:
    wrong = make(cxone_shared_secret="a secret nobody signs with")
    wrong.shared.refusals.start()
    wrong.sweep()
    wrong.receive(BODY)
    wrong.receive(b"{}", secret="a forger's")
    assert wrong.shared.refusals.wait_until_empty(5)
    wrong.shared.refusals.stop(5)
    assert wrong.sweep()["tried"] == 0

    right = make()
    swept = right.sweep()

    assert swept["ended"] == {"resolved": 1, "pending_inspection": 1}
    assert right.sweep()["tried"] == 0
    assert database["events"].count_documents({}) == 1
    conditions = list(database["retry_conditions"].find())
    assert "a secret" not in str(conditions)


def test_verified_again_and_then_malformed_still_gets_its_one_repair(
    make: Make, database: Db
) -> None:
    wrong = make(cxone_shared_secret="a secret nobody signs with")
    wrong.shared.refusals.start()
    wrong.receive(RAW_NEWLINE)
    assert wrong.shared.refusals.wait_until_empty(5)
    wrong.shared.refusals.stop(5)
    wrong.sweep()

    right = make()
    ended = [right.sweep()["ended"], right.sweep()["ended"]]

    assert ended == [{"pending_inspection": 1}, {"resolved": 1}]
    entry = right.letter()
    assert entry["verdict"]["secret"] == "current"
    assert [attempt["result"] for attempt in entry["history"]][-2:] == [
        "malformed_json",
        "processed",
    ]


def test_repaired_body_that_the_contract_holds_is_let_in_when_the_contract_evolves(
    make: Make, database: Db
) -> None:
    holding = make(cxone_on_new_field="hold")
    holding.receive(BODY)
    holding.receive(RAW_NEWLINE)

    assert holding.sweep()["ended"] == {"held": 1}
    assert holding.letter()["changes"]
    assert make().sweep()["ended"] == {"resolved": 1}
    document = database["events"].find_one({"note": {"$exists": True}})
    assert document is not None
    assert document["_meta"]["repairs"] == ["control_characters"]


def test_missing_fields_is_tried_when_the_field_is_named(make: Make, database: Db) -> None:
    here = make()
    here.sweep()
    assert here.receive(b'{"eventId":"1","type":"t"}') == "missing_fields"
    here.sweep()

    assert make(cxone_id_field="eventId").sweep()["ended"] == {"resolved": 1}


def test_entry_that_another_process_holds_is_passed_over(make: Make, database: Db) -> None:
    here = make()
    here.receive(RAW_NEWLINE)
    claims = here.shared.dead_letters.claims
    (_id,) = claims.due(10)
    taken = claims.claim(_id, "another", ["pending_inspection"])
    assert taken

    assert here.sweep()["tried"] == 0
    claims.release(taken)
    assert here.sweep()["ended"] == {"resolved": 1}


def test_sweep_that_stops_is_resumed_by_the_next(make: Make, database: Db) -> None:
    here = make()
    for number in range(10):
        here.receive(b'{"id":"%d","type":"t","x":"\n"}' % number)

    first = here.sweep(Run(stop_after=4))
    second = here.sweep()

    assert (first["tried"], second["tried"]) == (4, 6)
    assert database["events"].count_documents({}) == 10


def test_two_sweeps_at_once_try_each_entry_once(make: Make, database: Db) -> None:
    here, there = make(), make()
    for number in range(60):
        here.receive(b'{"id":"%d","type":"t","x":"\n"}' % number)

    with ThreadPoolExecutor(2) as pool:
        swept = list(pool.map(lambda each: each.sweep(), [here, there]))

    assert sum(each["tried"] for each in swept) == 60
    assert {entry["retry_count"] for entry in here.letters()} == {1}
    assert database["events"].count_documents({}) == 60


def test_metrics_tell_what_there_is_and_go_back_to_zero(make: Make, database: Db) -> None:
    here = make()
    here.receive(b"{")
    here.receive(RAW_NEWLINE)
    here.sweep()

    text = here.shared.metrics.render().decode()
    assert 'dead_letters{reason="malformed_json",status="pending_inspection"} 1.0' in text
    assert 'dead_letters{reason="malformed_json",status="resolved"} 1.0' in text
    assert 'retries_total{outcome="resolved"} 1.0' in text

    database["dead_letter_queue"].delete_many({})
    here.sweep()
    text = here.shared.metrics.render().decode()
    assert 'dead_letters{reason="malformed_json",status="resolved"} 0.0' in text
    assert "dead_letters_oldest_age 0.0" in text


def test_what_spoke_against_changes_is_forgotten_once_no_entry_of_the_subject_waits(
    make: Make, database: Db
) -> None:
    here, kept = make(), database["retry_conditions"]
    now = utc_now()
    of_old = {"fingerprint": "a reader", "since": now - timedelta(days=9)}
    kept.insert_many(
        [
            {"_id": "objections nobody waits", **of_old, "read_on": now - timedelta(days=4)},
            {"_id": "objections waits", **of_old, "read_on": now - timedelta(days=1)},
        ]
    )

    store = ConditionStore(here.shared.database, here.shared.registry, ConfiguredConditions([], ""))
    first = store.read().objections("waits")
    here.sweep()

    found = {each["_id"]: each for each in kept.find()}
    assert found.keys() == {"salt", "signature", "settings", "constraints", "objections waits"}
    # It is read now: that counts from midnight.
    assert utc_now() - found["objections waits"]["read_on"] < timedelta(days=1, minutes=1)
    assert store.read().objections("waits") == first
