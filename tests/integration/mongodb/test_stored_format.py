"""A program that is too old for the database keeps what it is sent, and writes nothing there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.errors import FormatTooNew, SetupError
from consumer.mongodb import collection_faults, stored_format
from consumer.mongodb.client import open_database
from consumer.mongodb.errors import translated
from consumer.monitoring.instances import Instance, Instances
from tests.support.processes import environment, run
from tests.support.service import SECRET, SOON, eventually, running_service

Db = Database[dict[str, Any]]
NEWER = 99


def event(number: int) -> dict[str, Any]:
    return {"id": str(number), "type": "contact.created", "n": number}


def written_by_newer(database: Db, found: object = NEWER) -> None:
    database["database_format"].replace_one(
        {"_id": "stored_format"}, {"_id": "stored_format", "format": found}, upsert=True
    )


def settings(uri: str, database: Db, data_dir: Path) -> dict[str, str]:
    return {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_DATA_DIR": str(data_dir),
        "CXONE_LISTEN": "127.0.0.1:0",
    }


def contents(database: Db) -> dict[str, list[dict[str, Any]]]:
    names = set(database.list_collection_names()) - {"instances"}
    return {name: list(database[name].find().sort("_id")) for name in names}


@contextmanager
def newer_program(given: dict[str, str], cwd: Path) -> Iterator[None]:
    """`serve` of a program that knows the newer format."""
    code = (
        f"from consumer.mongodb import stored_format; stored_format.FORMAT = {NEWER};"
        "from consumer.cli.main import main; main(['serve'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment(given),
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def test_an_old_process_spools_what_the_new_program_then_drains(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    written_by_newer(database)
    before = contents(database)

    with running_service(mongod_uri, database.name, cxone_data_dir=str(tmp_path)) as client:
        answers = [client.post(event(number)) for number in range(3)]
        ready = client.get("/readyz")

    assert [(each.status, each.json) for each in answers] == [(202, {"status": "spooled"})] * 3
    assert ready.status == 200
    assert ready.json["mongodb"]["ok"] is False
    assert f"format {NEWER}" in ready.json["mongodb"]["detail"]
    assert "upgrade" in ready.json["mongodb"]["detail"]
    assert contents(database) == before

    with newer_program(settings(mongod_uri, database, tmp_path), tmp_path):
        eventually(lambda: database["events"].count_documents({}) == 3, 60)


def test_a_process_that_runs_goes_on_spooling_when_the_format_is_raised(
    mongod_uri: str, database: Db
) -> None:
    with running_service(mongod_uri, database.name, SOON) as client:
        assert client.post(event(1)).status == 200
        written_by_newer(database)
        eventually(lambda: client.get("/readyz").json["mongodb"]["ok"] is False, 60)
        late = client.post(event(2))
        assert client.get("/readyz").status == 200
        written_by_newer(database, 1)
        eventually(lambda: database["events"].count_documents({}) == 2, 60)

    assert (late.status, late.json) == (202, {"status": "spooled"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["spool", "drain"],
        ["adoption", "rebuild"],
        ["schema", "backfill"],
        ["dlq", "retry", "--all"],
        ["events", "erase", "--id", "1", "--yes"],
        ["schema", "retire", "contact.created", "n"],
    ],
)
def test_a_command_that_writes_ends_with_2_and_one_sentence(
    mongod_uri: str, database: Db, tmp_path: Path, arguments: list[str]
) -> None:
    given = settings(mongod_uri, database, tmp_path)
    with running_service(mongod_uri, database.name) as client:
        client.post(event(1))
        client.post({"type": "no id"})
        eventually(lambda: database["dead_letter_queue"].count_documents({}) == 1)
    written_by_newer(database)
    before = contents(database)

    ended = run(arguments, tmp_path, given)

    said = ended.stderr.decode().strip()
    assert ended.returncode == 2, said
    assert said.count("\n") == 0, said
    assert f"format {NEWER}" in said
    assert contents(database) == before


@pytest.mark.parametrize("arguments", [["status"], ["schema", "list"], ["dlq", "list"]])
def test_a_command_that_reads_warns(
    mongod_uri: str, database: Db, tmp_path: Path, arguments: list[str]
) -> None:
    written_by_newer(database)

    ended = run(arguments, tmp_path, settings(mongod_uri, database, tmp_path))

    assert ended.returncode == 0
    assert f"format {NEWER}" in ended.stderr.decode()


def test_the_doctor_names_a_newer_format(mongod_uri: str, database: Db, tmp_path: Path) -> None:
    given = settings(mongod_uri, database, tmp_path)
    written_by_newer(database)

    ended = run(["doctor", "--json"], tmp_path, given)

    found = [c for c in json.loads(ended.stdout)["checks"] if c["name"] == "stored format"]
    assert [each["status"] for each in found] == ["fail"]
    assert f"format {NEWER}" in found[0]["finding"]


def test_the_first_start_records_the_first_format_and_no_start_lowers_it(
    mongod_uri: str, database: Db
) -> None:
    with running_service(mongod_uri, database.name):
        eventually(lambda: database["database_format"].find_one({"_id": "stored_format"}))
    first = database["database_format"].find_one({"_id": "stored_format"})
    written_by_newer(database, 2)
    with running_service(mongod_uri, database.name) as client:
        eventually(lambda: client.get("/readyz").json["mongodb"]["ok"])
        assert client.post(event(1)).status == 200

    assert first == {"_id": "stored_format", "format": 1}
    assert database["database_format"].find_one({"_id": "stored_format"}, {"_id": 0}) == {
        "format": 2
    }


@pytest.mark.parametrize("found", [None, "two", float("inf"), {"$max": 2}])
def test_a_record_that_cannot_be_read_is_that_of_a_newer_program(
    mongo_client: MongoClient[dict[str, Any]], database: Db, found: object
) -> None:
    written_by_newer(database, found)
    ours = open_database(mongo_client, database.name, collection_faults.inspect)

    with pytest.raises(FormatTooNew, match="upgrade"), translated("events"):
        ours["events"].insert_one({})


def test_a_feature_raises_the_format_once_no_process_is_left_that_does_not_know_it(
    mongo_client: MongoClient[dict[str, Any]], database: Db
) -> None:
    ours = open_database(mongo_client, database.name, collection_faults.inspect)
    new = Instance("new", "here", 1, "2.0.0")
    Instances(database["instances"]).beat(new)
    # As a program writes it that knows nothing of formats.
    database["instances"].insert_one({"_id": "old", "host": "there", "version": "1.0.0"})

    with pytest.raises(SetupError, match=r"old.*1\.0\.0"):
        stored_format.require(ours, 2)
    assert stored_format.recorded(ours) is None

    database["instances"].delete_one({"_id": "old"})
    stored_format.require(ours, 2)
    assert stored_format.recorded(ours) == 2

    # Known already: nobody is asked.
    database["instances"].insert_one({"_id": "old", "host": "there", "version": "1.0.0"})
    stored_format.require(ours, 2)
