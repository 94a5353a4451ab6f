"""An index of ours that is gone is made again, and one that cannot be made is named everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from consumer.mongodb.indexes import BY_STAMP, INDEXES
from tests.support.processes import run
from tests.support.service import SECRET, SOON, eventually, running_service

Db = Database[dict[str, Any]]
OF_EVENTS = [index.name for index in INDEXES if index.collection == "events"]
QUICK = {"cxone_backfill_quiet": "0s", "cxone_backfill_interval": "1s"}


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "type": "contact.created", **more}


def names(database: Db) -> set[str]:
    return set(database["events"].index_information())


def test_an_index_that_is_dropped_while_we_run_is_made_again(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, SOON, **QUICK) as client:
        client.post(event(1))
        eventually(lambda: names(database) >= set(OF_EVENTS), 60)
        for name in OF_EVENTS:
            database["events"].drop_index(name)
        eventually(lambda: names(database) >= set(OF_EVENTS), 60)
        eventually(lambda: client.get("/readyz").json["mongodb"]["ok"], 60)


def taken(database: Db, index: dict[str, Any]) -> bool:
    """Change an index; False while MongoDB still builds another one."""
    try:
        database.command("collMod", "events", index=index)
    except OperationFailure:
        return False
    return True


def test_an_index_that_somebody_hid_is_named_until_it_is_back(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    hide = {"name": OF_EVENTS[0], "hidden": True}
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": mongod_uri,
        "CXONE_LISTEN": "127.0.0.1:0",
    }
    with running_service(mongod_uri, database.name, SOON, **QUICK) as client:
        client.post(event(1))
        eventually(lambda: names(database) >= set(OF_EVENTS), 60)
        eventually(lambda: taken(database, hide), 60)
        eventually(lambda: not client.get("/readyz").json["mongodb"]["ok"], 60)
        told = client.get("/readyz").json["mongodb"]["detail"]
        doctor = run(["doctor", "--json"], tmp_path, {**given, "MONGODB_DATABASE": database.name})
        eventually(lambda: taken(database, {**hide, "hidden": False}), 60)
        eventually(lambda: client.get("/readyz").json["mongodb"]["ok"], 60)

    advice = f'`db.getCollection("events").unhideIndex("{OF_EVENTS[0]}")`'
    assert advice in told
    checks = json.loads(doctor.stdout)["checks"]
    (found,) = [c["advice"] for c in checks if c["name"] == "MongoDB indexes"]
    assert advice in found


def test_indexes_that_have_no_room_are_named_and_made_once_there_is(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    for number in range(63):
        database["events"].create_index(f"theirs{number}")
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_LISTEN": "127.0.0.1:0",
    }

    with running_service(mongod_uri, database.name, SOON, **QUICK) as client:
        answers = [client.post(event(1)).status, client.post(event(2, more=1)).status]
        eventually(lambda: not client.get("/readyz").json["mongodb"]["ok"], 60)
        ready = client.get("/readyz")
        eventually(lambda: errors(database, "prepare_store"), 60)
        eventually(lambda: errors(database, "backfill"), 60)
        doctor = json.loads(run(["doctor", "--json"], tmp_path, given).stdout)
        status = run(["status"], tmp_path, given).stdout.decode()
        for number in range(len(OF_EVENTS)):
            database["events"].drop_index(f"theirs{number}_1")
        eventually(lambda: names(database) >= set(OF_EVENTS), 60)
        eventually(lambda: client.get("/readyz").json["mongodb"]["ok"], 60)
        filled = {"_meta.backfilled_to": 2}
        eventually(lambda: database["events"].count_documents(filled) == 2, 60)

    lost = (
        "the index {" + ", ".join(f"{key}: 1" for key, _ in BY_STAMP) + "} of 'events' is missing"
    )
    assert answers == [200, 200]
    assert ready.status == 200
    assert lost in ready.json["mongodb"]["detail"]
    assert "drop one of yours" in ready.json["mongodb"]["detail"]
    told = [c for c in doctor["checks"] if c["name"] == "MongoDB indexes"]
    assert [c["status"] for c in told] == ["fail"] * len(OF_EVENTS)
    assert lost in [c["finding"] for c in told]
    assert "drop one of yours" in told[0]["advice"]
    # A screen may break a line within it.
    assert lost in " ".join(status.split())
    assert lost in errors(database, "prepare_store")[0]
    assert lost in errors(database, "backfill")[0]


def errors(database: Db, job: str) -> list[str]:
    return database["job_runs"].distinct("error", {"job": job, "outcome": "failed"})
