"""Dead letters of sources beside main are kept, and tried again, as their own source says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.mongodb import stored_format
from tests.support.jobs import Run
from tests.support.processes import run
from tests.support.service import (
    SECRET,
    SOON,
    Client,
    dead_letters,
    eventually,
)
from tests.support.sources import CALL, ONE_SOURCE, VOICE, with_sources
from tests.support.spool import spooling

Db = Database[dict[str, Any]]

OLDER = {"_id": "old", "host": "there", "version": "1.0.0", "format": 2}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "sources.toml"


def post(client: Client, body: Any, headers: dict[str, str] = VOICE, source: str = "voice") -> Any:
    return client.request("POST", f"/webhook/{source}", client.encoded(body), headers)


def recorded(database: Db) -> int | None:
    return (database["database_format"].find_one({"_id": "stored_format"}) or {}).get("format")


def test_sources_raise_the_stored_format_and_nothing_is_raised_without(
    mongod_uri: str, database: Db, config: Path
) -> None:
    with with_sources(mongod_uri, database, config, "", SOON) as client:
        assert client.post({"id": "1", "type": "t"}).status == 200
        eventually(lambda: recorded(database) == 1)
    with with_sources(mongod_uri, database, config, ONE_SOURCE, SOON):
        eventually(lambda: recorded(database) == stored_format.SOURCES)


def test_beside_an_older_process_other_sources_wait_in_the_spool_and_it_is_said(
    mongod_uri: str, database: Db, config: Path
) -> None:
    database["instances"].insert_one(OLDER)
    with with_sources(mongod_uri, database, config, ONE_SOURCE, SOON) as client:
        spooled = [post(client, CALL), post(client, {"no": "id"})]
        assert client.post({"id": "1", "type": "t"}).status == 200
        eventually(lambda: not client.get("/readyz").json["mongodb"]["ok"])
        said = client.get("/readyz")
        assert recorded(database) in (None, 1)
        assert database["events"].count_documents({"_meta.source": "voice"}) == 0

        database["instances"].delete_one({"_id": "old"})
        eventually(lambda: client.get("/readyz").json["mongodb"]["ok"])
        eventually(lambda: database["events"].count_documents({"_meta.source": "voice"}) == 1)
        eventually(lambda: dead_letters(database))

    assert [answer.status for answer in spooled] == [202, 400]
    assert said.status == 200
    assert "old (cxone-consumer 1.0.0)" in said.json["mongodb"]["detail"]
    assert recorded(database) == stored_format.SOURCES
    assert [letter["source"] for letter in dead_letters(database)] == ["voice"]


def test_what_waits_beside_an_older_process_asks_mongodb_once_in_ten_seconds(
    mongod_uri: str, database: Db, config: Path, tmp_path: Path
) -> None:
    database["instances"].insert_one(OLDER)
    config.write_text(DESK, encoding="utf-8")
    with spooling(mongod_uri, database.name, tmp_path, cxone_config=str(config)) as parts:
        sources = parts.shared.ingest._sources
        admit = Mock(wraps=sources._admit)
        sources._admit = admit
        for number in range(3):
            came = came_by("desk", **{"X-Event-Id": f"e-{number}", "X-Event-Type": "note"})
            assert parts.ingest.store_or_spool(came).status == "spooled"

    assert admit.call_count == 1


DESK = """
[sources.desk]
proof = "token"
secret = "the token of the desk"
id = "header:X-Event-Id"
type = "header:X-Event-Type"
"""


def at_desk(number: int, type_: str = "note") -> dict[str, str]:
    token = "Bearer the token of the desk"
    return {"Authorization": token, "X-Event-Id": f"e-{number}", "X-Event-Type": type_}


def came_by(source: str, body: Any = CALL, **headers: str) -> Delivery:
    now = utc_now()
    verdict = Verdict("current", now)
    return Delivery("d", json.dumps(body).encode(), Headers(headers), now, verdict, source=source)


def test_one_letter_of_a_source_counts_its_copies_and_others_are_others(
    mongod_uri: str, database: Db, config: Path
) -> None:
    with with_sources(mongod_uri, database, config, ONE_SOURCE + DESK, SOON) as client:
        for body in ({"no": "id"}, {"no": "id"}):
            assert post(client, body).status == 400
            assert client.post(body).status == 400
        broken = b"{"
        for number in (1, 1, 2):
            assert post(client, broken, at_desk(number), "desk").status == 400

    letters = {(e.get("source"), e["event_id"]): e["seen"] for e in dead_letters(database)}
    assert letters == {("voice", None): 2, (None, None): 2, ("desk", "e-1"): 2, ("desk", "e-2"): 1}
    assert {e["event_type"] for e in dead_letters(database) if e.get("source") == "desk"} == {
        "note"
    }


def test_what_a_removed_source_left_in_the_spool_is_kept_and_stored_once_it_is_back(
    mongod_uri: str, database: Db, config: Path, tmp_path: Path
) -> None:
    config.write_text(DESK, encoding="utf-8")
    # MongoDB is away at the start.
    with spooling(
        "mongodb://127.0.0.1:9/", database.name, tmp_path, cxone_config=str(config)
    ) as away:
        for number in (1, 2):
            ids = {"X-Event-Id": f"e-{number}", "X-Event-Type": "note"}
            assert away.ingest.store_or_spool(came_by("desk", **ids)).status == "spooled"
    with spooling(mongod_uri, database.name, tmp_path) as without:
        assert without.drain(Run())["held"] == 2

    kept = dead_letters(database)
    assert {(e["reason"], e["status"], e["source"]) for e in kept} == {
        ("source_unknown", "held", "desk")
    }
    assert len(kept) == 2
    assert "[sources.desk]" in kept[0]["error_message"]
    assert "--as-source" in kept[0]["error_message"]
    assert recorded(database) == stored_format.SOURCES

    with with_sources(mongod_uri, database, config, DESK, SOON, cxone_sweep_interval="1s"):
        eventually(lambda: database["events"].count_documents({}) == 2)
        eventually(lambda: {e["status"] for e in dead_letters(database)} == {"resolved"})
    assert {e["_meta"]["key"] for e in database["events"].find()} == {"e-1", "e-2"}
    assert {e["_meta"]["source"] for e in database["events"].find()} == {"desk"}


def test_renaming_a_source_changes_only_what_comes_later(
    mongod_uri: str, database: Db, config: Path
) -> None:
    renamed = ONE_SOURCE.replace("sources.voice", "sources.phone")
    with with_sources(mongod_uri, database, config, ONE_SOURCE, SOON) as client:
        assert post(client, CALL).status == 200
        assert post(client, {"contactId": "c2"}).status == 400
        assert post(client, CALL, {"X-Api-Key": "a wrong one, long enough"}).status == 401
        eventually(lambda: len(dead_letters(database)) == 2)
    with with_sources(
        mongod_uri, database, config, renamed, SOON, cxone_sweep_interval="1s"
    ) as client:
        assert post(client, CALL, source="phone").json["status"] == "processed"
        assert post(client, CALL).status == 404
        # Both kinds are woken, for the settings of what is accepted are others.
        eventually(lambda: {e["blocked_by"] for e in dead_letters(database)} == {"source_unknown"})

    assert {e["source"] for e in dead_letters(database)} == {"voice"}
    assert [e["_meta"]["source"] for e in database["events"].find().sort("processed_at")] == [
        "voice",
        "phone",
    ]


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", "ID"], ["show", "ID", "--json"], ["export", "-"]]
)
def test_letters_of_a_removed_source_stay_readable(
    mongod_uri: str, database: Db, tmp_path: Path, arguments: list[str]
) -> None:
    with spooling(mongod_uri, database.name, tmp_path) as without:
        assert without.ingest.store(came_by("desk")).status == "held"
    (letter,) = dead_letters(database)
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
    }

    named = [str(letter["_id"]) if each == "ID" else each for each in arguments]
    done = run(["dlq", *named], tmp_path, given)

    shown = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    if arguments[0] == "show":
        assert "source_unknown" in shown
        assert "put [sources.desk] back" in shown
    if arguments[0] == "export":
        assert json.loads(shown) == CALL
