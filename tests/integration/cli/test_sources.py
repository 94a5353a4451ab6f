"""Commands on an installation with sources beside the main one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli import main
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.spool.spool import Spool
from consumer.spool.survey import directory_in
from tests.support.service import SECRET, Client, eventually, running_service
from tests.support.sources import SOURCES, VOICE, basic

Db = Database[dict[str, Any]]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "sources.toml"
    path.write_text(SOURCES, encoding="utf-8")
    return path


@pytest.fixture
def client(mongod_uri: str, database: Db, config: Path) -> Iterator[Client]:
    with running_service(mongod_uri, database.name, cxone_config=str(config)) as client:
        yield client


@pytest.fixture
def command(
    mongod_uri: str,
    database: Db,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Command:
    """A command in this process: its status, and what it wrote on either stream."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, **settings: str) -> tuple[int, str, str]:
        given = {
            "CXONE_SHARED_SECRET": SECRET,
            "CXONE_CONFIG": str(config),
            "CXONE_DATA_DIR": str(tmp_path / "data"),
            "MONGODB_URI": mongod_uri,
            "MONGODB_DATABASE": database.name,
            **settings,
        }
        capfd.readouterr()
        with monkeypatch.context() as environment:
            for name, value in given.items():
                environment.setenv(name, value)
            status = main.run([*arguments])
        return status, *capfd.readouterr()

    return call


def letters(client: Client, database: Db) -> None:
    client.request("POST", "/webhook/voice", b'{"contactId":', VOICE)
    client.request("POST", "/from/desk", b"{", basic("a wrong password"))
    client.post(b'{"id":')
    eventually(lambda: database["dead_letter_queue"].count_documents({}) == 3)


def test_dead_letters_show_their_source_and_are_chosen_by_it(
    client: Client, database: Db, command: Command, tmp_path: Path
) -> None:
    letters(client, database)

    _, listed, _ = command("dlq", "list")
    _, of_voice, _ = command("dlq", "list", "--source", "voice", "--json")
    _, of_main, _ = command("dlq", "list", "--source", "main", "--json")
    (entry,) = json.loads(of_voice)["entries"]
    _, shown, _ = command("dlq", "show", entry["_id"])
    written, _, noted = command("dlq", "export", "out.jsonl")

    assert "source" in listed
    assert entry["source"] == "voice"
    assert [each["source"] for each in json.loads(of_main)["entries"]] == [None]
    assert re.search(r"source\W+voice", shown)
    assert written == 0
    assert "several sources (1 of desk, 1 of main, 1 of voice)" in noted


def test_where_all_came_by_the_main_source_nothing_tells_one(
    client: Client, database: Db, command: Command
) -> None:
    client.post(b'{"id":')
    (entry,) = database["dead_letter_queue"].find()

    said = [command("dlq", "list"), command("dlq", "show", entry["_id"])]
    said.append(command("dlq", "export", "out.jsonl"))

    assert not [text for ended in said for text in ended[1:] if "source" in text]


def test_the_audit_tells_the_sources_of_what_a_person_acted_on(
    client: Client, database: Db, command: Command
) -> None:
    letters(client, database)
    for source in ("voice", "main"):
        command("dlq", "retry", "--source", source)

    told = [action.get("sources") for action in database["audit"].find().sort("at")]
    assert told == [["voice"], None]


def test_the_spool_tells_the_source_of_what_waits(command: Command, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    spool = Spool(directory_in(tmp_path / "data"), 1 << 20)
    verdict = Verdict("current", utc_now())
    for number, source in enumerate(("voice", "voice", "main")):
        spool.append(Delivery(str(number), b"{}", Headers({}), utc_now(), verdict, source=source))
    spool.close()

    _, shown, _ = command("spool", "status")
    _, plain, _ = command("spool", "status", "--json")
    command("spool", "export", "out.jsonl")

    assert "of source voice" in shown
    assert json.loads(plain)["by_source"] == {"main": 1, "voice": 2}
    copied = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [each.get("source") for each in copied] == ["voice", "voice", None]
