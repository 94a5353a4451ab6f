"""`dlq`, run with its arguments and environment, on dead letters that a real delivery left."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli import main
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.core.errors import Rejected
from consumer.mongodb.indexes import create_indexes
from tests.support.dead_letters import Bench, bench
from tests.support.service import SECRET

Db = Database[dict[str, Any]]
Dlq = Callable[..., "Ended"]

COMMA = b'{"id":"1","type":"t","n":1,}'


@pytest.fixture
def here(mongod_uri: str, database: Db) -> Iterator[Bench]:
    create_indexes(database)
    made = bench(mongod_uri, database)
    yield made
    made.shared.close()


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a command."""

    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def dlq(
    mongod_uri: str,
    database: Db,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Dlq:
    """The command in this process, for starting one takes longer than what it does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def command(*arguments: str, **settings: str) -> Ended:
        given = {
            "CXONE_SHARED_SECRET": SECRET,
            "MONGODB_URI": mongod_uri,
            "MONGODB_DATABASE": database.name,
            **settings,
        }
        capfdbinary.readouterr()
        with monkeypatch.context() as environment:
            for name, value in given.items():
                environment.setenv(name, value)
            status = main.run(["dlq", *arguments])
        return Ended(status, *capfdbinary.readouterr())

    return command


def editor(tmp_path: Path, old: str, new: str) -> str:
    """An editor that replaces text and ends the last line, as most do."""
    script = tmp_path / "editor.py"
    script.write_text(
        "import sys, pathlib\n"
        "p = pathlib.Path(sys.argv[-1])\n"
        f"p.write_bytes(p.read_bytes().replace({old.encode()!r}, {new.encode()!r}) + b'\\n')\n"
    )
    return f'"{sys.executable}" "{script}"'


def deeds(database: Db) -> list[str]:
    return [deed["what"] for deed in database["audit"].find().sort("at")]


def test_list_filters_by_reason_type_status_and_age(here: Bench, dlq: Dlq) -> None:
    here.receive(COMMA)
    here.receive(b'{"type":"u"}')

    def ids(*arguments: str) -> int:
        return len(json.loads(dlq("list", "--json", *arguments).stdout)["entries"])

    assert ids() == 2
    assert ids("--reason", "missing_fields") == 1
    assert ids("--type", "u") == 1
    assert ids("--status", "pending_inspection") == 2
    assert ids("--status", "held") == 0
    assert ids("--older-than", "1h") == 0
    assert ids("--older-than", "0s") == 2
    assert dlq("list", "--older-than", "soon").returncode == 2


def test_show_tells_where_a_body_breaks_and_what_would_repair_it(here: Bench, dlq: Dlq) -> None:
    here.receive(COMMA)
    _id = here.letter()["_id"]

    shown = json.loads(dlq("show", _id, "--json").stdout)
    text = dlq("show", _id[:8]).stdout.decode()

    assert shown["now"]["repairs"] == ["trailing_comma"]
    assert shown["now"]["position"] == COMMA.index(b"}")
    assert f"dlq repair {_id}" in text
    assert "000000  7b 22 69 64" in text


def test_show_gives_no_advice_on_what_has_ended(here: Bench, dlq: Dlq) -> None:
    here.receive(COMMA)
    _id = here.letter()["_id"]
    dlq("repair", _id, "--yes")

    text = dlq("show", _id).stdout.decode()

    assert "resolved" in text
    assert "next:" not in text


def test_show_tells_the_change_that_an_event_would_cause(
    here: Bench, dlq: Dlq, database: Db
) -> None:
    database["events"].create_index("n", unique=True)
    here.receive(b'{"id":"1","type":"t","n":1}')
    here.receive(b'{"id":"2","type":"t","n":1,"x":true}')
    database["schema_versions"].delete_one({"_id.version": 2})

    found = json.loads(dlq("show", here.letter()["_id"], "--json").stdout)["now"]
    held = json.loads(
        dlq("show", here.letter()["_id"], "--json", CXONE_ON_NEW_FIELD="hold").stdout
    )["now"]

    (change,) = found["changes"]
    assert (change["class"], change["path"]) == ("field_added", ["x"])
    assert (found["held"], held["held"]) == (False, True)
    assert database["schema_versions"].count_documents({}) == 1


def test_show_lets_no_control_sequence_through(here: Bench, dlq: Dlq) -> None:
    here.receive(b'{"id":"\x1b]0;owned\x07","type":"\xc2\x9b31m\xe2\x80\xae"')

    shown = dlq("show", here.letter()["_id"]).stdout

    assert b"\x1b" not in shown
    assert b"\x07" not in shown
    assert "\x9b".encode() not in shown
    assert "\u202e".encode() not in shown


def test_retry_counts_first_and_dry_run_touches_nothing(
    here: Bench, dlq: Dlq, database: Db
) -> None:
    here.receive(b'{"eventId":"1","type":"t"}')
    here.receive(b'{"eventId":"2","type":"t"}')

    dry = dlq("retry", "--all", "--dry-run", "--json")
    untouched = [entry["retry_count"] for entry in here.letters()]
    real = dlq("retry", "--type", "t", CXONE_ID_FIELD="eventId")
    again = dlq("retry", "--all")

    assert (dry.returncode, len(json.loads(dry.stdout)["entries"])) == (0, 2)
    assert untouched == [0, 0]
    assert (real.returncode, b"2 entries to try" in real.stderr) == (0, True)
    assert database["events"].count_documents({}) == 2
    assert (again.returncode, again.stdout) == (0, b"No entries to retry.\n")
    assert deeds(database) == ["dlq retry"]
    assert dlq("retry").returncode == 2


def test_retry_takes_parked_entries_and_says_what_stays(
    here: Bench, dlq: Dlq, database: Db
) -> None:
    here.receive(b'{"type":"t"}')
    database["dead_letter_queue"].update_one({}, {"$set": {"status": "parked"}})

    ended = dlq("retry", "--all", "--json")

    (row,) = json.loads(ended.stdout)["entries"]
    assert (ended.returncode, row["resolved"], row["result"]) == (1, False, "missing_fields")


def test_repair_shows_the_difference_and_does_nothing_without_consent(
    here: Bench, dlq: Dlq, database: Db
) -> None:
    here.receive(COMMA)
    _id = here.letter()["_id"]

    asked = dlq("repair", _id)
    untouched = here.letter()
    done = dlq("repair", _id, "--yes")

    assert asked.returncode != 0
    assert b'-"n":1,' in asked.stderr
    assert b'+"n":1}' in asked.stderr
    assert untouched["retry_count"] == 0
    assert done.returncode == 0
    document = database["events"].find_one()
    assert document is not None
    assert document["_meta"]["repairs"] == ["trailing_comma"]
    assert document["_meta"]["digest"] == here.letter()["digest"]
    assert bytes(here.letter()["original_payload"]) == COMMA
    assert deeds(database) == ["dlq repair"]


def test_repair_refuses_a_truncated_body(here: Bench, dlq: Dlq, database: Db) -> None:
    here.receive(COMMA[:-2])

    ended = dlq("repair", here.letter()["_id"], "--yes")

    assert ended.returncode == 1
    assert b"dlq edit" in ended.stderr
    assert database["events"].count_documents({}) == 0


def test_edited_body_is_an_event_with_its_own_digest_and_the_original_stays(
    here: Bench, dlq: Dlq, database: Db, tmp_path: Path
) -> None:
    here.receive(COMMA[:-2])
    _id = here.letter()["_id"]

    ended = dlq("edit", _id, "--yes", EDITOR=editor(tmp_path, '"n":1', '"n":2}'))

    assert ended.returncode == 0, ended.stderr
    document = database["events"].find_one()
    assert document is not None
    assert (document["n"], document["_meta"]["repairs"]) == (2, ["edited"])
    entry = here.letter()
    assert document["_meta"]["digest"] != entry["digest"]
    assert bytes(entry["original_payload"]) == COMMA[:-2]
    assert (entry["status"], entry["resolved_by"]) == ("resolved", document["_id"])


@pytest.mark.parametrize(("old", "new"), [("nothing", "like it"), ('"n":1', '"n":')])
def test_edit_that_changes_nothing_or_makes_no_event_leaves_the_entry(
    here: Bench, dlq: Dlq, database: Db, tmp_path: Path, old: str, new: str
) -> None:
    here.receive(COMMA[:-2])

    ended = dlq("edit", here.letter()["_id"], "--yes", EDITOR=editor(tmp_path, old, new))

    assert ended.returncode == 1
    assert here.letter()["retry_count"] == 0
    assert database["audit"].count_documents({}) == 0


def test_edited_body_that_the_contract_holds_is_let_in_by_a_later_sweep(
    here: Bench, dlq: Dlq, database: Db, tmp_path: Path
) -> None:
    here.receive(b'{"id":"0","type":"t"}')
    here.receive(COMMA[:-2])
    chosen = editor(tmp_path, '"n":1', '"n":2}')

    held = dlq("edit", here.letter()["_id"], "--yes", EDITOR=chosen, CXONE_ON_NEW_FIELD="hold")

    assert held.returncode == 1
    assert here.letter()["status"] == "held"
    assert here.sweep()["ended"] == {"resolved": 1}
    assert database["events"].count_documents({"n": 2}) == 1


def test_discard_asks_for_a_reason_and_keeps_it(here: Bench, dlq: Dlq, database: Db) -> None:
    here.receive(COMMA)
    _id = here.letter()["_id"]

    without = dlq("discard", _id)
    ended = dlq("discard", _id, "--because", "a load test")
    again = dlq("discard", _id, "--because", "a load test")

    assert (without.returncode, ended.returncode, again.returncode) == (2, 0, 1)
    entry = here.letter()
    assert (entry["status"], entry["discarded_because"]) == ("discarded", "a load test")
    assert entry["expires_at"] > entry["ended_at"]
    deed = database["audit"].find_one()
    assert deed is not None
    assert (deed["entries"], deed["because"], bool(deed["who"])) == ([_id], "a load test", True)
    assert here.sweep()["tried"] == 0


def receive(here: Bench) -> None:
    assert here.receive(COMMA) == "malformed_json"


def drain(here: Bench) -> None:
    verified = Delivery("d", COMMA, Headers({}), utc_now(), Verdict("current", utc_now()))
    with pytest.raises(Rejected):
        here.shared.ingest.store(verified)


def refuse(here: Bench) -> None:
    assert here.receive(COMMA, secret="another") == "signature_invalid"
    assert here.shared.refusals.wait_until_empty(30)


@pytest.mark.parametrize("comes", [receive, drain, refuse])
def test_a_copy_of_what_was_discarded_is_kept_whichever_way_it_comes(
    here: Bench, dlq: Dlq, comes: Callable[[Bench], None]
) -> None:
    here.shared.refusals.start()
    comes(here)
    _id = here.letter()["_id"]
    assert dlq("discard", _id, "--because", "by mistake").returncode == 0

    comes(here)
    opened = here.letter()
    assert dlq("discard", _id, "--because", "a flood", "--and-copies").returncode == 0
    comes(here)
    here.shared.refusals.stop(30)

    assert (opened["status"], opened["seen"]) == ("pending_inspection", 2)
    assert "expires_at" not in opened
    assert (here.letter()["status"], here.letter()["seen"]) == ("discarded", 3)


def test_discarding_with_the_copies_is_audited_and_lasts(
    here: Bench, dlq: Dlq, database: Db
) -> None:
    here.receive(COMMA)
    _id = here.letter()["_id"]

    assert dlq("discard", _id, "--and-copies", "--because", "a load test").returncode == 0
    here.receive(COMMA)

    assert (here.letter()["status"], here.letter()["seen"]) == ("discarded", 2)
    deed = database["audit"].find_one()
    assert deed is not None
    assert (deed["what"], deed["and_copies"]) == ("dlq discard", True)


def test_export_is_what_send_can_post_again_byte_for_byte(
    here: Bench, dlq: Dlq, tmp_path: Path
) -> None:
    plain = [COMMA, b'{"type" :\t"t"}', b'\xff\x00{"a"']
    pretty = b'{\r\n "type": "t"\n}'
    torn = b'{"id":"1\n","type'
    for body in (*plain, pretty, torn):
        here.receive(body)

    ended = dlq("export", "out.jsonl")
    again = dlq("export", "out.jsonl")

    lines = (tmp_path / "out.jsonl").read_bytes().split(b"\n")
    assert lines == [*plain, b'{   "type": "t" }', b""]
    assert sys.platform == "win32" or (tmp_path / "out.jsonl").stat().st_mode & 0o77 == 0
    assert ended.returncode == 1
    assert b"1 on one line" in ended.stderr
    assert b"1 left out" in ended.stderr
    assert again.returncode == 2


def test_a_list_and_a_letter_show_no_more_than_a_screen_of_what_came_from_outside(
    here: Bench, dlq: Dlq
) -> None:
    long = b"i" * 900_000
    for number in range(3):
        here.receive(b'{"id":"%d%b","type":"%b",}' % (number, long, long[:1000]))
        here.receive(b'{"id":"%d%b","n":1}' % (number, long))
    wide = b",".join(b'"%d%b":1' % (number, b"k" * 200) for number in range(300))
    here.receive(b'{"id":"1","%b":1,%b,"x":1' % (long, wide) + b',"type":"t",}')

    listed, as_json = dlq("list"), dlq("list", "--json")
    shown = [dlq("show", each["_id"]) for each in here.letters()]

    assert len(listed.stdout) < 100_000
    assert len(as_json.stdout) < 20_000
    assert {each["bytes"] for each in json.loads(as_json.stdout)["entries"]} == {
        len(each["original_payload"]) for each in here.letters()
    }
    assert max(len(each.stdout) for each in shown) < 100_000


def test_list_shows_what_waits_by_cause_and_the_rest_when_asked(here: Bench, dlq: Dlq) -> None:
    here.receive(COMMA)
    here.receive(COMMA.replace(b"1", b"2"))
    here.receive(b'{"type":"u"}')
    assert dlq("discard", "--type", "u", "--because", "gone", "--yes").returncode == 0

    waiting = json.loads(dlq("list", "--json").stdout)
    every = json.loads(dlq("list", "--all", "--json").stdout)
    shown = dlq("list").stdout.decode()

    assert [(each["reason"], each["count"]) for each in waiting["groups"]] == [
        ("malformed_json", 2)
    ]
    assert "Malformed JSON: " in waiting["groups"][0]["cause"]
    assert len(every["entries"]) == 3
    assert {each["status"] for each in every["groups"]} == {"pending_inspection", "discarded"}
    assert waiting["groups"][0]["cause"] in shown
    assert [line for line in shown.splitlines() if "discarded" in line] == []


def test_discard_takes_filters_and_asks_first(here: Bench, dlq: Dlq, database: Db) -> None:
    here.receive(COMMA)
    here.receive(b'{"type":"u"}')
    chosen = ("discard", "--reason", "missing_fields", "--because", "a test")

    dry = json.loads(dlq(*chosen, "--dry-run", "--json").stdout)
    unasked = dlq(*chosen)
    untouched = deeds(database)
    done = json.loads(dlq(*chosen, "-y", "--json").stdout)

    assert [each["reason"] for each in dry["entries"]] == ["missing_fields"]
    assert (unasked.returncode, b"Nothing was discarded" in unasked.stderr) == (1, True)
    assert untouched == []
    assert [each["discarded"] for each in done["entries"]] == [True]
    assert {each["reason"]: each["status"] for each in here.letters()} == {
        "malformed_json": "pending_inspection",
        "missing_fields": "discarded",
    }
    assert dlq("discard", "--because", "nothing named").returncode == 2


def test_retrying_what_is_resolved_says_so_and_is_no_failure(here: Bench, dlq: Dlq) -> None:
    here.receive(COMMA)
    _id = here.letter()["_id"]
    assert dlq("repair", _id, "-y").returncode == 0

    again = dlq("retry", _id)

    assert (again.returncode, b"already resolved" in again.stdout) == (0, True)


def test_a_beginning_that_two_ids_have_is_refused_with_both(
    here: Bench, dlq: Dlq, database: Db
) -> None:
    here.receive(COMMA)
    letter = here.letter()
    alike = [letter["_id"][:8] + end for end in ("0" * 16, "f" * 16)]
    database["dead_letter_queue"].insert_many([{**letter, "_id": each} for each in alike])

    refused = dlq("show", letter["_id"][:8])

    assert refused.returncode == 1
    assert all(each.encode() in refused.stderr for each in alike)
    assert dlq("show", alike[0][:10]).returncode == 0


def test_show_has_a_caret_under_the_byte_where_reading_stopped(here: Bench, dlq: Dlq) -> None:
    here.receive('{"name": "Łódź",\n "ü": 1,}'.encode())

    lines = dlq("show", here.letter()["_id"]).stdout.decode().splitlines()

    at = next(n for n, line in enumerate(lines) if line.strip().startswith("^ byte "))
    assert lines[at - 1][lines[at].index("^")] == "}"
    assert lines[at].endswith("line 2")


def test_a_masked_body_shows_no_value_above_the_caret(here: Bench, dlq: Dlq) -> None:
    here.receive(b'{"phone": "5551234", "n": 1,}')

    shown = dlq("show", here.letter()["_id"], CXONE_REDACT="phone").stdout

    assert b"^ byte" in shown
    assert b"5551234" not in shown
