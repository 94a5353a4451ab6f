"""Commands on an installation with sources beside the main one."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli import main
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.ingest.signature import fingerprint
from consumer.spool.spool import Spool
from consumer.spool.survey import directory_in
from tests.support.service import SECRET, Client, eventually
from tests.support.sources import SOURCES, VOICE, basic, with_sources

Db = Database[dict[str, Any]]
Command = Callable[..., tuple[int, str, str]]
_LOG_LINE = re.compile(r"(?m)^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \[.*\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "sources.toml"
    path.write_text(SOURCES, encoding="utf-8")
    return path


@pytest.fixture
def client(mongod_uri: str, database: Db, config: Path) -> Iterator[Client]:
    with with_sources(mongod_uri, database, config) as client:
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
        # The service logs in this process too.
        out, err = (_LOG_LINE.sub("", text) for text in capfd.readouterr())
        return status, out, err

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
    _, shown, _ = command("dlq", "show", entry["id"])
    written, _, noted = command("dlq", "export", "out.jsonl")

    assert "source" in listed
    assert entry["source"] == "voice"
    assert [each["source"] for each in json.loads(of_main)["entries"]] == [None]
    assert re.search(r"source\W+voice", shown)
    assert written == 0
    assert "By source: 1 of desk, 1 of main, 1 of voice" in noted


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


CALL = '{"contactId":"c1","id":"c1","type":"t","call":{"sequence":7}}'
DESK = ("--header", "X-Event-Id: e-1", "--header", "X-Event-Type: desk.note")


@pytest.mark.parametrize(
    ("source", "also"), [("main", ()), ("voice", ()), ("desk", DESK), ("hub", ()), ("expert", ())]
)
def test_send_proves_itself_as_each_source(
    client: Client, database: Db, command: Command, tmp_path: Path, source: str, also: tuple[str]
) -> None:
    (tmp_path / "call.json").write_text(CALL)
    url = client.service.url.removesuffix("/webhook/cxone-dataaction")
    sent = ("send", "call.json", "--source", source, "--url", url, *also)

    assert command(*sent, "--repeat", "2")[0] == 0
    assert command(*sent, "--repeat", "3", "--fresh-ids")[0] == 0
    assert command(*sent, "--bad-signature")[0] == 1

    stored = [*database["events"].find()]
    assert len(stored) == 4
    assert {each["_meta"].get("source", "main") for each in stored} == {source}


def test_an_unknown_source_is_told_with_those_that_there_are(command: Command) -> None:
    for name in ("send", "sign"):
        status, _, said = command(name, "-", "--source", "vioce")
        assert status == 2
        assert "voice" in said


@pytest.mark.parametrize("source", ["voice", "desk", "hub"])
def test_sign_shows_no_secret_unless_asked(
    client: Client, command: Command, tmp_path: Path, source: str
) -> None:
    path = {"voice": "/webhook/voice", "desk": "/from/desk", "hub": "/webhook/hub"}[source]
    (tmp_path / "call.json").write_text(CALL)

    refused, quiet, why = command("sign", "call.json", "--source", source)
    _, shown, _ = command("sign", "call.json", "--source", source, "--reveal")
    written, beside, _ = command("sign", "call.json", "--source", source, "--out", "headers")
    again, _, _ = command("sign", "call.json", "--source", source, "--out", "headers")

    assert (refused, quiet, written, beside, again) == (2, "", 0, "", 2)
    assert "--reveal" in why
    for text in (shown, (tmp_path / "headers").read_text()):
        headers = dict(line.split(": ", 1) for line in text.splitlines())
        headers |= {"X-Event-Id": "e", "X-Event-Type": "t"}
        assert client.request("POST", path, CALL.encode(), headers).status == 200
    assert stat.S_IMODE((tmp_path / "headers").stat().st_mode) & 0o077 == 0 or os.name == "nt"


def test_sign_of_a_signing_source_prints_its_header(client: Client, command: Command) -> None:
    Path("call.json").write_text(CALL)

    _, shown, _ = command("sign", "call.json", "--source", "expert")

    name, value = shown.strip().split(": ")
    assert value.startswith("sha256=")
    answer = client.request("POST", "/webhook/expert", CALL.encode(), {name: value})
    assert answer.status == 200


def test_doctor_tries_the_way_of_each_source_and_its_secrets(
    client: Client, database: Db, command: Command, config: Path
) -> None:
    config.chmod(0o644)
    client.request("POST", "/from/desk", b"{}", basic("the password before it"))
    used = {"_id": fingerprint(b"the password before it"), "deliveries": 1}
    eventually(lambda: database["secret_use"].find_one(used))

    _, told, _ = command("doctor", "--json", "--url", client.service.url)

    checks = [(each["status"], each["finding"]) for each in json.loads(told)["checks"]]
    findings = "\n".join(finding for _, finding in checks)
    for source, header in (("voice", "X-Api-Key"), ("desk", "Authorization")):
        right = f"{source}: the canary arrived and {header} was right; it was not stored"
        assert ("ok", right) in checks
    assert "hub: the canary arrived and Authorization was right" in findings
    assert "expert: the canary arrived and its signature verified" in findings
    assert "sources.desk.secret_previous last proved a delivery" in findings
    assert "voice: 22 bytes" in findings
    assert ("others on this machine may read the secrets of desk" in findings) == (os.name != "nt")
    # That of desk, which is no canary.
    assert database["events"].count_documents({}) == 1
    assert database["dead_letter_queue"].count_documents({}) == 0


def test_status_tells_the_sources_and_the_processes_that_have_others(
    client: Client, database: Db, command: Command, config: Path
) -> None:
    client.request("POST", "/webhook/voice", CALL.encode(), VOICE)
    used = {"_id": fingerprint(b"a token for voice only"), "deliveries": 1}
    eventually(lambda: database["secret_use"].find_one(used))

    _, shown, _ = command("status")
    _, plain, _ = command("status", "--json")
    config.write_text('[sources.voice]\nsecret = "a secret of another"\n')
    _, differs, _ = command("status")
    config.write_text("")
    _, without, _ = command("status")

    assert "voice: token at /webhook/voice, last at 20" in shown
    assert "desk: basic at /from/desk, nothing came yet" in shown
    assert "sources of these settings" not in shown
    (voice,) = [each for each in json.loads(plain)["sources"] if each["name"] == "voice"]
    assert voice["deliveries"] == 1
    assert "the sources of these settings are not those of the service on" in " ".join(
        differs.split()
    )
    assert "ources: main" not in without
