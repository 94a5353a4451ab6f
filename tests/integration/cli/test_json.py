"""`--json` prints an object with a named list in it, times in UTC, and ids as `id`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli.main import run
from consumer.mongodb.indexes import create_indexes
from tests.integration.cli.test_mongodb_fails import ARGUMENTS, EVENT
from tests.support.dead_letters import Bench, bench
from tests.support.service import SECRET

Db = Database[dict[str, Any]]
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3,6})?Z")


@pytest.fixture
def here(mongod_uri: str, database: Db) -> Iterator[Bench]:
    create_indexes(database)
    made = bench(mongod_uri, database)
    made.receive(b'{"id": "1", "type": "contact.created", "a": "x", "b": 1,}')
    made.receive(b'{"type": "contact.created"}')
    made.receive(EVENT.encode().replace(b"}", b', "a": "text"}'))
    yield made
    made.shared.close()


def parts(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from parts(each)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_every_command_prints_an_object(
    command: str,
    here: Bench,
    mongod_uri: str,
    database: Db,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "event.json").write_text(EVENT, encoding="utf-8")
    for name, value in {
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_SHARED_SECRET": SECRET,
        "EDITOR": "true",
    }.items():
        monkeypatch.setenv(name, value)
    letter = next(each for each in here.letters() if each["reason"] == "malformed_json")
    arguments = [letter["_id"][:10] if each == "a" * 24 else each for each in ARGUMENTS[command]]
    capsys.readouterr()

    status = run([*command.split(), *arguments, "--json"])

    out, err = capsys.readouterr()
    assert status in (0, 1), err
    if not out:
        # It ended with a sentence: there was nothing to do it to.
        assert err
        return
    found = json.loads(out)
    assert isinstance(found, dict)
    for each in parts(found):
        assert not (isinstance(each, dict) and "_id" in each)
        if isinstance(each, str) and TIME.fullmatch(each):
            assert UTC.fullmatch(each), each
