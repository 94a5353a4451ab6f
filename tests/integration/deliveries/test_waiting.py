"""A delivery that waits in vain, for others or its document's sake, is spooled alone: no outage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.core.errors import StoreUnavailable
from consumer.dead_letters.store import DeadLetter, DeadLetters
from consumer.schemas.registry.registry import SchemaRegistry
from tests.support.jobs import Run
from tests.support.service import eventually
from tests.support.spool import Spooling, spooling

Db = Database[dict[str, Any]]


def delivery(number: int, **more: Any) -> Delivery:
    body = json.dumps({"id": str(number), "type": "t", **more}).encode()
    return Delivery(str(number), body, Headers({}), utc_now(), Verdict("current", utc_now()))


@pytest.fixture
def parts(mongod_uri: str, database: Db, tmp_path: Path) -> Iterator[Spooling]:
    with spooling(mongod_uri, database.name, tmp_path, cxone_spool_after="1s") as made:
        made.ingest.store(delivery(0))
        yield made


def test_who_waits_for_a_schema_that_others_register_is_spooled_alone(
    parts: Spooling, database: Db
) -> None:
    registering = parts.shared.registry._subject("t")._registering
    with registering:
        began = time.monotonic()
        waited = parts.ingest.store_or_spool(delivery(1, new=1)).status
        took = time.monotonic() - began
        beside = parts.ingest.store_or_spool(delivery(2)).status

    assert (waited, beside) == ("spooled", "processed")
    assert not parts.breaker.is_open
    assert took < 10
    assert parts.drain(Run()) == {"left": 0, "processed": 1}
    assert database["events"].count_documents({}) == 3


def test_who_waits_for_a_batch_of_others_is_spooled_alone(parts: Spooling) -> None:
    group = parts.ingest._events._events._group
    free, group._free = group._free, 0

    waited = parts.ingest.store_or_spool(delivery(1)).status
    group._free = free

    assert waited == "spooled"
    assert not parts.breaker.is_open
    assert parts.ingest.store_or_spool(delivery(2)).status == "processed"


def test_what_bson_refuses_is_no_outage(database: Db) -> None:
    letters = DeadLetters(database["dead_letter_queue"])
    large = {"changes": ["x" * 1024 * 1024] * 17}

    with pytest.raises(StoreUnavailable) as caught:
        letters.add(DeadLetter(delivery(1), "d", "contract_hold", "m", details=large))

    assert not caught.value.away


def test_one_whose_version_cannot_be_written_fails_alone(database: Db) -> None:
    registry = SchemaRegistry(database["schema_versions"])
    registry.admit("t", {"a": 1})
    held = registry._subject("t")
    # Nobody vetted it: half a surrogate pair is no UTF-8.
    payloads: list[dict[str, Any]] = [{"b": 1}, {"\ud800": 1}, {"c": 1}]

    def admit(payload: dict[str, Any]) -> bool:
        try:
            return registry.admit("t", payload).untracked == 0
        except UnicodeEncodeError:
            return False

    with ThreadPoolExecutor(3) as pool:
        with held._registering:
            admitted = [pool.submit(admit, payload) for payload in payloads]
            eventually(lambda: len(held._waiting) == 3)
        found = [future.result(30) for future in admitted]

    assert found == [True, False, True]
    newest = registry.refreshed("t")
    assert newest is not None
    assert {field.path for field in newest.fields} == {("a",), ("b",), ("c",)}


def test_who_gave_up_is_registered_by_nobody(parts: Spooling) -> None:
    held = parts.shared.registry._subject("t")
    with held._registering:
        parts.ingest.store_or_spool(delivery(1, left=1))

    parts.ingest.store_or_spool(delivery(2, came=1))

    newest = parts.shared.registry.refreshed("t")
    assert newest is not None
    assert ("came",) in {field.path for field in newest.fields}
    assert ("left",) not in {field.path for field in newest.fields}
    assert not held._waiting


def test_what_is_held_for_many_changes_leaves_a_small_entry(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    wide = {"x" * 200 + str(number): number for number in range(2500)}
    # However busy the machine is: this is about the entry.
    given = {"cxone_on_new_field": "hold", "cxone_spool_after": "30s"}
    with spooling(mongod_uri, database.name, tmp_path, **given) as parts:
        parts.ingest.store(delivery(0))

        assert parts.ingest.store_or_spool(delivery(1, **wide)).status == "held"
        parts.shared.replay.entry(database["dead_letter_queue"].find()[0], "a test")

    (size,) = database["dead_letter_queue"].aggregate(
        [{"$project": {"n": {"$bsonSize": "$$ROOT"}}}]
    )
    (entry,) = database["dead_letter_queue"].find()
    assert 0 < len(entry["changes"]) <= 100
    assert size["n"] < len(entry["original_payload"]) + 64 * 1024
    assert "1998 change(s)" in entry["error_message"]
