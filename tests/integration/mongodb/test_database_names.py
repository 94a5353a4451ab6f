"""A database that is there in other case, and one that only the URI names, are said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo.database import Database

from tests.support.processes import run
from tests.support.service import SECRET, running_service

Db = Database[dict[str, Any]]


def settings(uri: str, name: str) -> dict[str, str]:
    return {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": name,
        "CXONE_LISTEN": "127.0.0.1:0",
    }


def checks(given: dict[str, str], cwd: Path) -> tuple[int, list[dict[str, str]]]:
    ended = run(["doctor", "--json"], cwd, given)
    return ended.returncode, json.loads(ended.stdout)["checks"]


def test_a_database_that_exists_in_other_case_is_said_in_words(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    database["events"].insert_one({"theirs": True})
    other = database.name.upper()
    given = settings(mongod_uri, other)

    with running_service(mongod_uri, other) as client:
        answer = client.post({"id": "1", "type": "t"})
        ready = client.get("/readyz")
    status, found = checks(given, tmp_path)
    ended = run(["schema", "approve", "t", "--yes"], tmp_path, given)
    written = run(["adoption", "rebuild"], tmp_path, given)

    assert (answer.status, ready.status) == (202, 200)
    assert not ready.json["mongodb"]["ok"]
    assert "MONGODB_DATABASE" in ready.json["mongodb"]["detail"]
    assert f'"{database.name}"' in ready.json["mongodb"]["detail"]
    assert status == 1
    (fault,) = [each for each in found if each["name"] == "MongoDB database"]
    assert fault["status"] == "fail"
    assert f'"{database.name}"' in fault["finding"]
    assert fault["advice"] == f"set MONGODB_DATABASE={database.name}"
    assert written.returncode == 3
    assert f"set MONGODB_DATABASE={database.name}" in written.stderr.decode()
    assert b"Traceback" not in ended.stderr + written.stderr


@pytest.mark.parametrize(
    ("path", "remarks"), [("/elsewhere", 1), ("/admin", 0), ("/", 0), ("", 0), ("ours", 0)]
)
def test_another_database_in_the_uri_is_a_remark_and_no_fault(
    mongod_uri: str, database: Db, tmp_path: Path, path: str, remarks: int
) -> None:
    parts = urlsplit(mongod_uri)
    path = f"/{database.name}" if path == "ours" else path
    uri = parts._replace(path=path).geturl()

    status, found = checks(settings(uri, database.name), tmp_path)

    told = [each for each in found if each["name"] == "MongoDB database"]
    assert status == 0
    assert [each["status"] for each in told] == ["ok"] * remarks
    for each in told:
        assert f'"{database.name}"' in each["finding"]
        assert '"elsewhere"' in each["finding"]
