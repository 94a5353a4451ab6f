"""Collections of the wrong kind under our names, and documents of others in ours: each is named,
and costs no delivery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.mongodb.client import COLLECTIONS
from tests.integration.console.test_console import Visitor
from tests.support.processes import run
from tests.support.service import SECRET, SOON, Answer, Client, eventually, running_service

Db = Database[dict[str, Any]]
WRONG: dict[str, dict[str, Any]] = {
    "a view": {"viewOn": "elsewhere", "pipeline": []},
    "a time-series collection": {"timeseries": {"timeField": "at"}},
    "capped": {"capped": True, "size": 1 << 20},
    "a collation": {"collation": {"locale": "en", "strength": 2}},
}
NEEDED = ("events", "schema_versions", "dead_letter_queue", "database_format")
BOTH = "events", "a collation"
KINDS = [(name, kind) for name in NEEDED for kind in WRONG if (name, kind) != BOTH]
OTHERS = [name for name in COLLECTIONS if name not in NEEDED]
PASSWORD = "a long one to get in"
PAGES = ("", "/schemas", "/adoption", "/events", "/dead-letters", "/jobs", "/audit")


def everyday(cases: Sequence[tuple[str, ...]]) -> list[Any]:
    """The cases, of which all but the first are slow."""
    first, *others = cases
    return [pytest.param(*first), *(pytest.param(*each, marks=pytest.mark.slow) for each in others)]


def event(number: int) -> dict[str, Any]:
    return {"id": str(number), "type": "contact.created", "n": number}


def command(arguments: list[str], uri: str, database: Db, cwd: Path) -> tuple[int, str, str]:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_LISTEN": "127.0.0.1:0",
    }
    ended = run(arguments, cwd, given)
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


def doctor(uri: str, database: Db, cwd: Path) -> list[str]:
    _, out, _ = command(["doctor", "--json"], uri, database, cwd)
    return [f"{c['status']} {c['finding']}" for c in json.loads(out)["checks"]]


def pages(client: Client) -> dict[str, Answer]:
    """The pages of the console; the answer to the login alone where nobody gets in."""
    visitor = Visitor(client)
    login = visitor.log_in(PASSWORD)
    return {path: visitor.get(path) for path in PAGES} if login.status == 303 else {"": login}


def said(client: Client) -> Answer:
    return client.get("/readyz")


@pytest.mark.parametrize(("name", "kind"), everyday(KINDS))
def test_where_a_needed_collection_is_of_the_wrong_kind_deliveries_are_spooled(
    mongod_uri: str, database: Db, tmp_path: Path, name: str, kind: str
) -> None:
    database.create_collection(name, **WRONG[kind])

    with running_service(mongod_uri, database.name, SOON) as client:
        answers = [client.post(event(number)) for number in range(2)]
        refused = client.post({"id": "no type"})
        ready = said(client)
        checks = doctor(mongod_uri, database, tmp_path)
        writing = command(["schema", "backfill"], mongod_uri, database, tmp_path)
        database.drop_collection(name)
        eventually(lambda: database["events"].count_documents({}) == 2, 60)
        eventually(lambda: said(client).json["mongodb"]["ok"], 60)

    assert [(each.status, each.json) for each in answers] == [(202, {"status": "spooled"})] * 2
    assert refused.status == 400
    assert ready.status == 200
    assert ready.json["mongodb"]["ok"] is False
    assert f"{name} " in ready.json["mongodb"]["detail"]
    assert kind in ready.json["mongodb"]["detail"]
    assert [c for c in checks if c.startswith(f"fail {name} ") and kind in c]
    assert writing[0] == 3
    assert kind in writing[2]


@pytest.mark.parametrize("kind", everyday([(kind,) for kind in WRONG]))
def test_any_other_collection_of_the_wrong_kind_is_named_and_keeps_no_delivery_out(
    mongod_uri: str, database: Db, tmp_path: Path, kind: str
) -> None:
    for name in OTHERS:
        database.create_collection(name, **WRONG[kind])

    with running_service(mongod_uri, database.name, cxone_console_password=PASSWORD) as client:
        answers = [client.post(event(number)) for number in range(2)]
        refused = client.post({"id": "no type"})
        eventually(lambda: said(client).json["mongodb"]["ok"] is False)
        ready = said(client)
        checks = doctor(mongod_uri, database, tmp_path)
        shown = command(["status"], mongod_uri, database, tmp_path)
        # A screen has no room for so many.
        whole = command(["status", "--json"], mongod_uri, database, tmp_path)
        written = command(["dlq", "retry", "--all"], mongod_uri, database, tmp_path)
        seen = pages(client)

    assert {each.status for each in answers} == {200}
    assert refused.status == 400
    assert ready.status == 200
    for name in OTHERS:
        assert f"{name} " in ready.json["mongodb"]["detail"]
        assert [c for c in checks if c.startswith(f"fail {name} ") and kind in c]
        assert f"{name} " in whole[1]
    assert kind in shown[1]
    assert shown[0] == 0, shown[2]
    assert "Traceback" not in shown[2] + written[2]
    # A page that cannot be made says which collection is wrong; the others are as ever.
    for path, page in seen.items():
        assert page.status == 200 or kind in page.body.decode(), (path, page.body.decode())


def foreign() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in COLLECTIONS:
        yield name, {"_id": "contact.created"}
        yield name, {"_id": {"subject": "contact.created", "version": "one"}}
        yield name, {"_id": 7, "at": "noon", "last_seen": datetime.now(timezone.utc)}


@pytest.mark.slow
def test_documents_of_others_are_named_and_break_nothing(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    for name, document in foreign():
        database[name].insert_one(document)
    quick = {
        "cxone_backfill_quiet": "0s",
        "cxone_backfill_interval": "1s",
        "cxone_adoption_interval": "5s",
        "cxone_sweep_interval": "1s",
        "cxone_report_interval": "10s",
    }
    commands = (
        ["status"],
        ["schema", "list"],
        ["schema", "show", "contact.created"],
        ["dlq", "list"],
        ["adoption"],
        ["adoption", "rebuild"],
        ["schema", "backfill"],
        ["events", "erase", "--id", "1", "--yes"],
        ["dlq", "retry", "--all"],
    )

    quick["cxone_console_password"] = PASSWORD
    with running_service(mongod_uri, database.name, **quick) as client:
        answers = [client.post(event(1)), client.post({**event(2), "more": 1})]
        refused = client.post({"id": "no type"})
        eventually(lambda: filled(database), 60)
        eventually(lambda: len(succeeded(database)) == 4, 60)
        checks = doctor(mongod_uri, database, tmp_path)
        ended = [command(each, mongod_uri, database, tmp_path) for each in commands]
        seen = pages(client)

    assert {path: page.status for path, page in seen.items()} == dict.fromkeys(PAGES, 200)
    assert [each.status for each in answers] == [200, 200]
    assert refused.status == 400
    for arguments, (status, _, err) in zip(commands, ended, strict=True):
        assert status == 0 or arguments[0] == "dlq", (arguments, err)
        assert "Traceback" not in err, err
        assert "unexpected" not in err, err
    failed = database["job_runs"].distinct("error", {"outcome": "failed"})
    assert failed == []
    assert [c for c in checks if c.startswith("warn") and "'contact.created'" in c]
    assert "schema_versions" in ended[0][1]
    assert "'contact.created'" in ended[0][1]


def filled(database: Db) -> bool:
    return database["events"].count_documents({"_meta.backfilled_to": 2}) == 2


def succeeded(database: Db) -> list[str]:
    jobs = ["adoption", "backfill", "sweep_dead_letters", "announce_versions"]
    return database["job_runs"].distinct("job", {"outcome": "succeeded", "job": {"$in": jobs}})
