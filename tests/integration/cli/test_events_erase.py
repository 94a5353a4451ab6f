"""`events erase` as a person runs it: counted first, asked for, written down, said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli import main
from consumer.mongodb.indexes import create_indexes
from consumer.monitoring.instances import Instance, Instances
from tests.support.dead_letters import Bench, bench
from tests.support.service import SECRET

Db = Database[dict[str, Any]]
Command = Callable[..., tuple[int, str, str]]

ANN = "ann@example.com"
WHERE = f"customer.email={ANN}"


@pytest.fixture
def here(mongod_uri: str, database: Db) -> Iterator[Bench]:
    create_indexes(database)
    made = bench(mongod_uri, database)
    for number, email in enumerate((ANN, "bo@example.com", ANN)):
        body = {"id": str(number), "type": f"t{number}", "customer": {"email": email}}
        made.receive(json.dumps(body).encode())
    made.receive(b'{"type":"t","customer":{"email":"ann@example.com"}}')
    yield made
    made.shared.close()


@pytest.fixture
def erase(
    mongod_uri: str,
    database: Db,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Command:
    monkeypatch.setenv("CXONE_SHARED_SECRET", SECRET)
    monkeypatch.setenv("MONGODB_URI", mongod_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database.name)

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main.run(["events", "erase", *arguments])
        return status, *capfd.readouterr()

    return call


def kept(database: Db) -> tuple[int, int]:
    return (
        database["events"].count_documents({}),
        database["dead_letter_queue"].count_documents({}),
    )


def test_dry_run_counts_and_erases_nothing(here: Bench, erase: Command, database: Db) -> None:
    status, out, _ = erase("--where", WHERE, "--dry-run")

    assert status == 0
    assert "t0" in out and "missing_fields" in out
    assert "Nothing was erased" in out
    assert kept(database) == (3, 1)
    assert database["audit"].count_documents({}) == 0


def test_a_person_who_does_not_agree_erases_nothing(
    here: Bench, erase: Command, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)

    status, _, said = erase("--where", WHERE)

    assert status == 1
    assert "missing_fields" in said
    assert kept(database) == (3, 1)


def test_what_was_erased_is_said_and_written_down_without_the_value(
    here: Bench, erase: Command, database: Db
) -> None:
    status, out, said = erase("--where", WHERE, "--yes")

    assert status == 0
    assert "Erased: 2 of the events, 1 of the dead letters." in out
    assert kept(database) == (1, 0)
    (deed,) = database["audit"].find()
    assert (deed["what"], deed["fields"]) == ("events erase", ["customer.email"])
    assert (deed["events"], deed["dead_letters"]) == (2, 1)
    assert ANN not in out + said + str(deed)
    assert database["adoption_state"].find_one({"_id": "erased"}) is None
    assert erase("--where", WHERE, "--yes")[1].strip() == "Nothing is kept that fits."


def test_programs_get_json_of_an_erasure_by_id(here: Bench, erase: Command, database: Db) -> None:
    Instances(database["instances"]).beat(Instance("a", "box", 1, "1"), {"spool": {"depth": 4}})

    status, out, _ = erase("--id", "1", "--id", "2", "--type", "t1", "--yes", "--json")

    assert status == 0
    told = json.loads(out)
    assert told["found"] == {
        "events": {"t1": 1},
        "dead_letters": {},
        "unreadable": 0,
        "more": False,
    }
    assert told["erased"] == {"events": 1, "dead_letters": 0}
    assert told["spooled"] == {"box": 4}
    rows = [(p["place"], p["kind"], p["found"], p["removed"], p["stays"]) for p in told["places"]]
    assert rows == [
        ("events", "t1", 1, 1, 0),
        ("schema versions", "t1", 1, 1, 0),
        ("spool on box", "deliveries", 4, 0, 4),
    ]
    (version,) = database["schema_versions"].find({"_id.subject": "t1"})
    assert {change["caused_by"] for change in version["changes"]} == {""}


def test_what_waits_in_a_spool_is_said_not_to_be_searched(
    here: Bench, erase: Command, database: Db
) -> None:
    Instances(database["instances"]).beat(Instance("a", "box", 1, "1"), {"spool": {"depth": 4}})

    assert "4 deliveries wait in the spool on box" in erase("--id", "0", "--yes")[2]


def test_neither_and_both_ways_to_name_events_are_wrong_usage(
    here: Bench, erase: Command, database: Db
) -> None:
    assert erase()[0] == 2
    assert erase("--id", "1", "--where", WHERE)[0] == 2
    status, _, said = erase("--where", f"customer..email={ANN}")
    assert status == 2
    assert "not a path" in said and ANN not in said
    assert kept(database) == (3, 1)
