"""No command, export or log line shows what CXONE_REDACT masks, unless somebody says --reveal."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli import main
from consumer.mongodb.indexes import create_indexes
from tests.integration.deliveries.test_spool import delivery
from tests.support.dead_letters import Bench, bench
from tests.support.service import SECRET
from tests.support.spool import spooling

Db = Database[dict[str, Any]]
Command = Callable[..., tuple[int, str, str]]

PERSON = "Wilhelmina"
PATHS = "customer.name, **.email"
MEGABYTE = 1_000_000
BROKEN = b'{"id":"1","type":"t","customer":{"name":"%b","age":7,}}' % PERSON.encode()
INCOMPLETE = b'{"type":"t","customer":{"name":"%b"},"n":1}' % PERSON.encode()
# Hex of a part of it, as a dump would show it.
IN_HEX = PERSON.encode()[:5].hex(" ")


@pytest.fixture
def here(mongod_uri: str, database: Db) -> Iterator[Bench]:
    create_indexes(database)
    made = bench(mongod_uri, database, cxone_redact=PATHS)
    yield made
    made.shared.close()


@pytest.fixture
def command(
    mongod_uri: str,
    database: Db,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Command:
    """The command with CXONE_REDACT set: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_REDACT": PATHS,
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, str, str]:
        capfdbinary.readouterr()
        status = main.run(list(arguments))
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return call


def deeds(database: Db) -> list[str]:
    return [deed["what"] for deed in database["audit"].find().sort("_id")]


def test_show_masks_text_json_and_hex_unless_revealed(
    here: Bench, command: Command, database: Db
) -> None:
    here.receive(BROKEN)
    _id = here.letter()["_id"]

    _, text, _ = command("dlq", "show", _id)
    _, as_json, _ = command("dlq", "show", _id, "--json")
    before = deeds(database)
    _, revealed, _ = command("dlq", "show", _id, "--reveal")

    for shown in (text, as_json):
        assert PERSON not in shown
        assert IN_HEX not in shown
    assert '"customer":{"name":"********","age":"********",' in text
    assert f"cannot be read from byte {BROKEN.index(b',}') + 1} on, so every value is" in text
    assert json.loads(as_json)["original_payload"].startswith('{"id":"********"')
    assert (before, deeds(database)) == ([], ["dlq show --reveal"])
    assert PERSON in revealed
    assert IN_HEX in revealed
    assert bytes(here.letter()["original_payload"]) == BROKEN


def test_export_masks_bodies_unless_revealed(
    here: Bench, command: Command, database: Db, tmp_path: Path
) -> None:
    here.receive(BROKEN)
    here.receive(INCOMPLETE)

    status, _, said = command("dlq", "export", "masked.jsonl")
    command("dlq", "export", "whole.jsonl", "--reveal")

    masked = (tmp_path / "masked.jsonl").read_text()
    assert status == 0
    assert PERSON not in masked
    assert '{"type":"t","customer":{"name":"********"},"n":1}' in masked
    assert "2 with masked values" in said
    assert (tmp_path / "whole.jsonl").read_text().count(PERSON) == 2
    (deed,) = database["audit"].find()
    assert (deed["what"], deed["count"]) == ("dlq export --reveal", 2)


def test_the_difference_of_a_repair_is_masked(here: Bench, command: Command, database: Db) -> None:
    here.receive(BROKEN)

    status, out, said = command("dlq", "repair", here.letter()["_id"], "--yes")

    assert status == 0
    assert PERSON not in out + said
    assert "resolved" in out
    assert database["events"].find_one({"customer.name": PERSON})


def test_masked_values_are_edited_by_those_only_who_may_see_them(
    here: Bench, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.receive(INCOMPLETE)
    _id = here.letter()["_id"]
    script = tmp_path / "editor.py"
    script.write_text(
        "import sys, pathlib\np = pathlib.Path(sys.argv[-1])\n"
        'p.write_bytes(p.read_bytes().replace(b\'{"type"\', b\'{"id":"9","type"\'))\n'
    )
    monkeypatch.setenv("EDITOR", f'"{sys.executable}" "{script}"')

    refused, _, said = command("dlq", "edit", _id, "--yes")
    done, out, _ = command("dlq", "edit", _id, "--yes", "--reveal")

    assert refused == 1
    assert "--reveal" in said and PERSON not in said
    assert done == 0, out


def test_an_id_in_a_masked_field_is_masked_wherever_it_is_named(
    here: Bench, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.receive(b'{"id":"%b","n":1}' % PERSON.encode())
    monkeypatch.setenv("CXONE_REDACT", "id")
    _id = here.letter()["_id"]

    listed = command("dlq", "list", "--json")[1]
    shown = command("dlq", "show", _id)[1] + command("dlq", "show", _id, "--json")[1]

    assert PERSON not in listed + shown


def test_ids_that_caused_a_version_are_masked_where_ids_are(
    mongod_uri: str,
    here: Bench,
    command: Command,
    database: Db,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here.receive(b'{"id":"%b","type":"t","n":1}' % PERSON.encode())
    monkeypatch.setenv("CXONE_ON_NEW_FIELD", "hold")
    hold = bench(mongod_uri, database, cxone_on_new_field="hold")
    hold.receive(b'{"id":"%b","type":"t","n":1,"x":2}' % PERSON.encode())
    hold.shared.close()
    seen = [command("schema", "diff", "t", "0..1")[1]]
    monkeypatch.setenv("CXONE_REDACT", "id")

    hidden = [
        command("schema", "diff", "t", "0..1")[1],
        command("schema", "diff", "t", "0..1", "--json")[1],
        command("schema", "approve", "t", "--json")[1],
        command("dlq", "show", here.letter()["_id"], "--json")[1],
    ]

    assert PERSON in seen[0]
    assert all("x" in text or "n" in text for text in hidden)
    assert not any(PERSON in text for text in hidden)


IN_OBJECT = b'{"id":"%d","type":"t","seats":{"%b":{"n":1}},"n":%b}'


@pytest.fixture
def named(mongod_uri: str, database: Db, here: Bench) -> str:
    """A person's name below `seats` in two versions, in a map, and in a held delivery; its id."""
    here.receive(b'{"id":"1","type":"t","n":1}')
    here.receive(IN_OBJECT % (2, PERSON.encode(), b"1"))
    here.receive(b'{"id":"3","type":"t","seats":{"%b":{"%b":1}}}' % (2 * (PERSON.encode(),)))
    hold = bench(mongod_uri, database, cxone_on_new_field="hold")
    hold.receive(b'{"id":"4","type":"t","seats":{"%b2":1},"new":1}' % PERSON.encode())
    hold.shared.close()
    return str(here.letter()["_id"])


def told(command: Command, entry_id: str, sample: Path) -> dict[str, str]:
    """Output of each command that shows names of fields, on both streams."""
    lines = [
        ["schema", "list"],
        ["schema", "show", "t"],
        ["schema", "diff", "t", "0..3"],
        ["schema", "diff", "t", "0..3", "--net"],
        ["schema", "explain", str(sample)],
        ["schema", "learn", str(sample)],
        ["schema", "approve", "t"],
        ["schema", "approve", "t", "--path", "n"],
        ["schema", "retire", "t", "seats", "--dry-run"],
        ["dlq", "show", entry_id],
    ]
    calls = [*lines, *([*line, "--json"] for line in lines), ["schema", "export", "t", "--json"]]
    calls.append(["schema", "export", "t", "--format", "mongodb"])
    return {" ".join(call): "".join(command(*call)[1:]) for call in calls}


@pytest.mark.slow
def test_names_below_masked_fields_are_shown_nowhere(
    named: str, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXONE_ON_NEW_FIELD", "hold")
    sample = tmp_path / "sample.json"
    sample.write_bytes(IN_OBJECT % (5, PERSON.encode() + b"3", b'{"x":1}'))
    open_to_all = told(command, named, sample)
    monkeypatch.setenv("CXONE_REDACT", "seats")

    hidden = told(command, named, sample)

    silent = [call for call, text in open_to_all.items() if PERSON not in text]
    assert silent == ["schema list", "schema list --json"]
    assert {call: text for call, text in hidden.items() if PERSON in text} == {}
    assert all("seats" in text for call, text in hidden.items() if call not in silent)


def until_logged(capfd: pytest.CaptureFixture[str], word: str) -> str:
    """The log up to a line with this word, which is written beside the request."""
    logged, ends = "", time.monotonic() + 30
    while word not in logged:
        assert time.monotonic() < ends
        time.sleep(0.02)
        logged += "".join(capfd.readouterr())
    return logged


@pytest.mark.parametrize("unit", [b"1,", b'{"name":1},', b'"",'])
def test_a_malformed_megabyte_costs_its_request_no_time_for_masks(
    here: Bench, capfd: pytest.CaptureFixture[str], unit: bytes
) -> None:
    body = b'{"email":"%b","a":[' % PERSON.encode() + unit * (MEGABYTE // len(unit)) + b"nought"
    started = time.thread_time()

    assert here.receive(body) == "malformed_json"

    assert time.thread_time() - started < 0.3
    logged = until_logged(capfd, "malformed_json")
    assert "** **" in logged
    assert IN_HEX not in logged


def test_the_log_shows_no_masked_byte_of_a_malformed_body(
    here: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    here.receive(BROKEN)

    logged = until_logged(capfd, "malformed_json")

    assert "7b 22 69 64" in logged
    assert IN_HEX not in logged


def test_spool_export_masks_bodies_unless_revealed(
    command: Command, database: Db, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    monkeypatch.setenv("CXONE_DATA_DIR", str(data_dir))
    away = "mongodb://127.0.0.1:9"
    data_dir.mkdir()
    with spooling(away, database.name, data_dir, cxone_spool_after="0.1") as parts:
        parts.ingest.receive(delivery(parts, INCOMPLETE.replace(b"{", b'{"id":"1",', 1)))

    _, _, said = command("spool", "export", "masked.jsonl")
    command("spool", "export", "whole.jsonl", "--reveal")

    assert PERSON not in (tmp_path / "masked.jsonl").read_text()
    assert "1 of them with masked values" in said
    assert PERSON in (tmp_path / "whole.jsonl").read_text()
    assert deeds(database) == ["spool export --reveal"]
