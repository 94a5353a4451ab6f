"""`events list`, `show` and `export`, on events that came the way of a delivery."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pymongo.database import Database

from consumer.cli.events.export import _Out
from consumer.cli.events.find import Wanted, new_ones
from consumer.cli.main import run
from consumer.cli.schema.shared import Context
from consumer.core.clock import EPOCH, utc_now
from consumer.events.walk import EventWalk
from consumer.mongodb.indexes import create_indexes
from consumer.privacy.rules import Redaction
from tests.support.dead_letters import Bench, bench
from tests.support.service import SECRET

Db = Database[dict[str, Any]]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(mongod_uri: str, database: Db) -> Iterator[Bench]:
    create_indexes(database)
    made = bench(mongod_uri, database)
    yield made
    made.shared.close()


@pytest.fixture
def command(
    mongod_uri: str,
    database: Db,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_SHARED_SECRET": SECRET,
    }.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        return status, *capsys.readouterr()

    return call


def body(number: object, kind: str = "call", **more: Any) -> bytes:
    return json.dumps({"id": number, "type": kind, **more}).encode()


def aged(database: Db, together: int = 1) -> None:
    """Let all have been processed some minutes ago, in the order in which they came, so many in one
    millisecond."""
    begin = utc_now() - timedelta(minutes=10)
    for count, event in enumerate(database["events"].find({}, {"_id": 1}).sort("processed_at")):
        at = begin + timedelta(milliseconds=count // together)
        database["events"].update_one({"_id": event["_id"]}, {"$set": {"processed_at": at}})


def listed(command: Command, *arguments: str) -> list[Any]:
    status, out, err = command("events", "list", "--json", *arguments)
    assert status == 0, err
    return [each["event_id"] for each in json.loads(out)["events"]]


def test_list_finds_by_type_version_time_id_and_value(here: Bench, command: Command) -> None:
    here.receive(body("a1", customer={"email": "ann@example.com"}))
    here.receive(body("a2", new=1))
    here.receive(body("b1", "chat", customer={"email": "bob@example.com"}))
    here.receive(body(7, "chat", list=[{"email": "ann@example.com"}]))

    assert listed(command) == [7, "b1", "a2", "a1"]
    assert listed(command, "--type", "chat") == [7, "b1"]
    assert listed(command, "--type", "call", "--version", "2") == ["a2"]
    assert listed(command, "--id", "a") == ["a2", "a1"]
    assert listed(command, "--id", "7") == [7]
    assert listed(command, "--where", "customer.email=ann@example.com") == ["a1"]
    assert listed(command, "--where", "list.email=ann@example.com", "--type", "chat") == [7]
    assert listed(command, "--where", "list.email=ann@example.com", "--type", "call") == []
    assert listed(command, "--source", "main", "--limit", "1") == [7]
    assert listed(command, "--source", "voice") == []
    assert listed(command, "--since", "1h") == [7, "b1", "a2", "a1"]
    assert listed(command, "--until", "1h") == []
    assert command("events", "list", "--since", "soon")[0] == 2
    assert command("events", "list", "--where", "nothing")[0] == 2


@pytest.mark.parametrize("narrowed", [(), ("--type", "call"), ("--source", "main")])
def test_pages_lead_through_all_of_them_once(
    here: Bench, command: Command, database: Db, narrowed: tuple[str, ...]
) -> None:
    for number in range(11):
        here.receive(body(f"{number}"))
    aged(database, 3)
    seen: list[Any] = []
    mark: tuple[str, ...] = ()
    for _ in range(9):
        _, out, _ = command("events", "list", "--json", "--limit", "2", *narrowed, *mark)
        page = json.loads(out)
        seen += [each["event_id"] for each in page["events"]]
        if page["next"] is None:
            break
        mark = ("--next", page["next"])

    assert len(seen) == 11
    assert set(seen) == {f"{number}" for number in range(11)}


def test_show_tells_what_was_filled_and_masks_unless_revealed(
    here: Bench, command: Command, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.receive(body("a1", phone="5551234", late=True))
    here.receive(body("a2", phone="5559999"))
    monkeypatch.setenv("CXONE_REDACT", "phone")

    status, out, _ = command("events", "show", "a2")
    found = json.loads(command("events", "show", "a2", "--json")[1])
    by_id = json.loads(command("events", "show", found["id"][:20], "--json")[1])
    unsaid = [deed["what"] for deed in database["audit"].find()]
    revealed = command("events", "show", "a2", "--reveal")[1]

    assert (status, "5559999" in out, "filled at ingest" in out) == (0, False, True)
    assert {each["path"]: each["mark"] for each in found["fields"]}["late"] == "filled"
    assert by_id == found
    assert "5559999" in revealed
    assert unsaid == []
    assert [deed["what"] for deed in database["audit"].find()] == ["events show --reveal"]


def test_nothing_is_found_by_what_is_masked(
    here: Bench, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.receive(body("a1", phone="5551234"))
    monkeypatch.setenv("CXONE_REDACT", "phone,id")

    assert listed(command, "--where", "phone=5551234") == []
    assert listed(command, "--id", "a1") == []
    assert listed(command, "--where", "phone=5551234", "--reveal") == ["a1"]
    assert listed(command, "--id", "a1", "--reveal") == ["a1"]


def test_show_finds_nothing_by_a_masked_id_unless_revealed(
    here: Bench, command: Command, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.receive(body("a1"))
    monkeypatch.setenv("CXONE_REDACT", "id")

    statuses = [command("events", "show", each)[0] for each in ("a1", "a", "b1")]
    unsaid = database["audit"].count_documents({})
    revealed = json.loads(command("events", "show", "a1", "--reveal", "--json")[1])
    by_id = json.loads(command("events", "show", revealed["id"][:12], "--json")[1])

    assert (statuses, unsaid) == ([1, 1, 1], 0)
    assert revealed["event_id"] == "a1"
    assert by_id["event_id"] != "a1"
    deeds = [(deed["what"], deed.get("event")) for deed in database["audit"].find().sort("_id")]
    # First that somebody looks by what is masked, then the event that was shown.
    assert deeds == [("events show --reveal", None), ("events show --reveal", revealed["id"])]


def test_a_beginning_that_several_have_is_refused_with_the_candidates(
    here: Bench, command: Command
) -> None:
    here.receive(body("a1"))
    here.receive(body("a12"))

    status, _, err = command("events", "show", "a")

    assert (status, "a1\n" in err, "a12\n" in err) == (1, True, True)
    assert json.loads(command("events", "show", "a1", "--json")[1])["event_id"] == "a1"
    assert command("events", "show", "nothing")[0] == 1


def test_export_writes_what_was_sent_the_oldest_first(
    here: Bench, command: Command, database: Db
) -> None:
    sent = [body(n, a=1.0, big=2**70, text="Łódź ü") for n in range(4)]
    for each in sent:
        here.receive(each)
    here.receive(body("fills", "call", another=None))
    here.receive(body("filled", "call"))
    aged(database)
    here.receive(body("too new"))

    status, out, err = command("events", "export", "out.jsonl", "--json")
    again = command("events", "export", "out.jsonl")
    lines = [json.loads(line) for line in Path("out.jsonl").read_bytes().splitlines()]

    assert (status, json.loads(out)["written"]) == (0, 6), err
    assert lines[:4] == [json.loads(each) for each in sent]
    assert lines[5] == {"id": "filled", "type": "call"}
    assert not Path("out.jsonl.position").exists()
    assert (again[0], "is there already" in again[2]) == (2, True)


def test_export_masks_unless_revealed(
    here: Bench, command: Command, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.receive(body("a1", phone="5551234"))
    aged(database)
    monkeypatch.setenv("CXONE_REDACT", "phone")

    masked = command("events", "export", "-")[1]
    revealed = command("events", "export", "-", "--reveal")[1]

    assert "5551234" not in masked
    assert json.loads(revealed)["phone"] == "5551234"
    assert [deed["what"] for deed in database["audit"].find()] == ["events export --reveal"]


def test_export_as_a_reader_sees_it_is_what_the_view_shows(
    here: Bench, command: Command, database: Db
) -> None:
    here.receive(body("a1", known=1))
    assert command("schema", "pin", "call", "--as", "billing")[0] == 0
    here.receive(body("a2", known=2, later="x"))
    here.receive(body("b1", "chat"))
    aged(database)

    status, out, err = command("events", "export", "-", "--reader", "billing")
    shown = [json.loads(line) for line in out.splitlines()]

    view = list(database["billing.call"].find().sort([("processed_at", 1), ("_id", 1)]))
    assert status == 0, err
    assert [{**each, "processed_at": None} for each in shown] == [
        {**each, "processed_at": None} for each in view
    ]
    assert all("later" not in each for each in shown)
    assert command("events", "export", "-", "--reader", "nobody")[0] == 1


def test_a_resumed_export_cuts_the_file_back_to_its_position(
    here: Bench, command: Command, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        here.receive(body(f"{number}"))
    aged(database, 3)
    monkeypatch.setattr(EventWalk.__init__, "__defaults__", (2,))
    whole = command("events", "export", "-")[1]
    kept = [0]

    def ends(_self: _Out, _line: bytes) -> int:
        kept[0] += 1
        if kept[0] > 5:
            raise KeyboardInterrupt
        return original(_self, _line)

    original = _Out.write
    monkeypatch.setattr(_Out, "write", ends)
    cut_off = command("events", "export", "out.jsonl")[0]
    monkeypatch.setattr(_Out, "write", original)
    with Path("out.jsonl").open("ab") as file:
        file.write(b'{"torn":' + b"x" * 10_000)

    other = command("events", "export", "out.jsonl", "--type", "call")
    status = command("events", "export", "out.jsonl")[0]

    assert (cut_off, status) == (130, 0)
    assert (other[0], "another export" in other[2]) == (1, True)
    assert Path("out.jsonl").read_text(encoding="utf-8") == whole


def test_what_comes_is_told_once_each_also_what_comes_late(here: Bench, database: Db) -> None:
    context = cast("Context", SimpleNamespace(shared=here.shared))
    wanted = Wanted(None, None, None, None, EPOCH, None, True, lambda _: None, Redaction())
    looks = new_ones(context, wanted, 3)
    here.receive(body("before"))
    first = [each["_meta"]["key"] for each in next(looks)]
    here.receive(body("late"))
    late = utc_now() - timedelta(minutes=2)
    database["events"].update_one({"_meta.key": "late"}, {"$set": {"processed_at": late}})
    second = [each["_meta"]["key"] for each in next(looks)]
    for number in range(3):
        here.receive(body(f"{number}"))
    third = [each["_meta"]["key"] for each in next(looks)]

    assert (first, second, third) == (["before"], ["late"], ["0", "1", "2"])
    assert next(looks) == []
