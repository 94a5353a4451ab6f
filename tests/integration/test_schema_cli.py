"""`schema` as a user sees it, beside the running service with contracts from a config file."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from pymongo.database import Database
from pymongo.errors import WriteError

from consumer.cli.main import run
from consumer.schema.paths import is_reserved
from tests import processes
from tests.processes import environment
from tests.service import Client, dead_letters, running_service
from tests.unit.test_schema_export import is_valid

Document = dict[str, Any]

RULES = """
[subjects."*"]
on_type_conflict = "hold"

[subjects."contact.created"]
on_new_field = "hold"
defaults = { "agent.team" = "none", "nowhere" = 1 }

[subjects."evolving"]
on_type_conflict = "evolve"
"""


@dataclass
class Shell:
    """A terminal in a directory with a config file, on the database of a test."""

    capsys: pytest.CaptureFixture[str]
    config: Path
    database: Database[Document]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Exit status, standard output and standard error of `schema ARGUMENTS`."""
        self.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = run(["--config", str(self.config), "schema", *arguments])
        out, err = self.capsys.readouterr()
        return status, out, err

    def json(self, *arguments: str, stdin: bytes = b"", status: int = 0) -> Any:
        found, out, err = self(*arguments, "--json", stdin=stdin)
        assert found == status, out + err
        return json.loads(out)


@pytest.fixture
def shell(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mongod_uri: str,
    database: Database[Document],
) -> Shell:
    config = tmp_path / "rules.toml"
    config.write_text(RULES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URI", mongod_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database.name)
    return Shell(capsys, config, database, monkeypatch)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """`main`, which is not run here, keeps the log away from standard output."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture
def service(shell: Shell, mongod_uri: str) -> Iterator[Client]:
    with running_service(mongod_uri, shell.database.name, cxone_config=str(shell.config)) as client:
        yield client


def event(n: int, subject: str = "contact.created", **fields: object) -> Document:
    return {"id": f"e{n}", "type": subject, **fields}


def post(service: Client, *events: Document) -> list[tuple[int, Any]]:
    answers = [service.post(each) for each in events]
    return [(a.status, a.json.get("schema_version", a.json["status"])) for a in answers]


def hold_three(service: Client) -> None:
    answers = post(
        service,
        event(1, agent={"name": "x"}),
        event(2, agent={"name": "x", "team": "blue"}),
        event(3, agent="x"),
        event(4, agent={"name": "y", "team": "red"}),
    )
    assert [status for status, _ in answers] == [200, 202, 202, 202]


# -- contracts of the config file, through the running service -------------------------------------


def test_contracts_of_the_config_file_hold_per_subject(service: Client, shell: Shell) -> None:
    strict = post(service, event(1, a=1, b=None), event(2, a=1, c=1), event(3, a="x"))
    widened = post(service, event(4, a=1.5, b="now typed"))
    general = post(
        service, event(5, "case", a=1), event(6, "case", a=1, c=1), event(7, "case", a="x")
    )
    evolving = post(service, event(8, "evolving", a=1), event(9, "evolving", a="x"))

    assert strict == [(200, 1), (202, "held"), (202, "held")]
    assert widened == [(200, 2)]
    assert general == [(200, 1), (200, 2), (202, "held")]
    assert evolving == [(200, 1), (200, 2)]
    assert {
        (e["event_type"], e["event_id"], e["reason"], e["status"])
        for e in dead_letters(shell.database)
    } == {
        ("contact.created", "e2", "contract_hold", "held"),
        ("contact.created", "e3", "contract_hold", "held"),
        ("case", "e7", "contract_hold", "held"),
    }
    held = {e["event_id"]: e["changes"] for e in dead_letters(shell.database)}
    assert held["e7"] == [
        {
            "class": "type_conflict",
            "path": ["a"],
            "from": ["integer"],
            "to": ["integer", "string"],
            "caused_by": "e7",
        }
    ]


# -- approve -------------------------------------------------------------------------------------


def test_approve_shows_then_registers_and_replays_for_the_service_too(
    service: Client, shell: Shell
) -> None:
    hold_three(service)

    shown = shell("approve", "contact.created")
    still = [e["status"] for e in dead_letters(shell.database)]
    done = shell("approve", "contact.created", "--yes")
    again = shell("approve", "contact.created", "--yes")

    assert shown[0] == 1
    for part in ("version 2", "agent.team", "field_added", "e2", "3 held", "add --yes"):
        assert part in shown[1]
    assert still == ["held"] * 3
    assert done[0] == 0
    assert "is at version 2 now" in done[1]
    assert "Replayed: 3 processed." in done[1]
    assert again[:2] == (0, "Nothing is held for contact.created.\n")
    assert shell.database["events"].count_documents({}) == 4
    assert post(service, event(5, agent="y")) == [(200, 2)]
    deeds = list(shell.database["audit"].find())
    assert [(d["what"], d["subject"], d["version"], d["count"]) for d in deeds] == [
        ("schema approve", "contact.created", 1, 3)
    ]
    assert {e["resolved_by"] for e in dead_letters(shell.database)} < {
        e["_id"] for e in shell.database["events"].find()
    }


def test_approve_of_one_path_leaves_the_rest_and_says_what_it_waits_for(
    service: Client, shell: Shell
) -> None:
    hold_three(service)

    done = shell.json("approve", "contact.created", "--path", "agent.team", "--yes")
    rest = shell("approve", "contact.created", "--path", "agnet")

    assert (done["at"], done["registered"], done["replays"], done["left"]) == (1, 2, 2, 1)
    assert [change["text"] for change in done["changes"]] == ["agent.team"]
    assert all(result["resolved"] for result in done["results"])
    assert done["stays"][0]["because"] == "agent is not among the approved paths"
    assert rest[0] == 0
    assert "Nothing to approve" in rest[1]
    assert "What can be approved" in rest[1]


def test_approve_answers_a_wrong_path_and_an_unknown_subject_with_what_to_do(
    service: Client, shell: Shell
) -> None:
    hold_three(service)

    assert shell("approve", "contact.created", "--path", "a..b")[0] == 2
    status, _, err = shell("approve", "contact.craeted")

    assert status == 1
    assert 'no schema "contact.craeted": did you mean "contact.created"?' in err


@pytest.mark.slow
def test_approve_killed_in_the_middle_is_finished_by_the_next(
    service: Client, shell: Shell, mongod_uri: str
) -> None:
    hold_three(service)
    post(service, *(event(n, agent={"team": n}) for n in range(10, 310)))
    events = shell.database["events"]
    arguments = ["--config", str(shell.config), "schema", "approve", "contact.created", "--yes"]
    settings = {"MONGODB_URI": mongod_uri, "MONGODB_DATABASE": shell.database.name}
    killed_at = []
    for enough in (5, 60, 150):
        process = subprocess.Popen(
            [sys.executable, "-m", "consumer", *arguments],
            env=environment(settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + 30
            while events.count_documents({}) < enough and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.005)
        finally:
            process.kill()
            process.wait()
        killed_at.append(events.count_documents({}))

    # As if a minute had passed, for which the killed processes hold their claims.
    shell.database["dead_letter_queue"].update_many({}, {"$unset": {"claim": ""}})

    status, out, _ = shell("approve", "contact.created", "--yes")

    assert status == 0, out
    assert 5 <= killed_at[0] < 304
    assert events.count_documents({}) == 304
    assert len(events.distinct("id")) == 304
    assert {e["status"] for e in dead_letters(shell.database)} == {"resolved"}
    assert shell.database["schema_versions"].count_documents({}) == 2


# -- looking -------------------------------------------------------------------------------------


def test_list_counts_fields_documents_and_what_is_held(service: Client, shell: Shell) -> None:
    hold_three(service)
    post(service, event(1, "case", a=1), event(2, "case", a=1, b=1))

    found = shell.json("list")
    text = shell("list")[1]

    assert found["documents_estimated"] == 3
    assert [
        (s["subject"], s["version"], s["fields"], s["documents"], s["held"])
        for s in found["subjects"]
    ] == [("case", 2, 4, 2, 0), ("contact.created", 1, 4, 1, 3)]
    assert "contact.created" in text
    assert "last change" in text


def test_list_without_schemas_says_how_the_first_comes(shell: Shell) -> None:
    assert shell("list")[:2] == (
        0,
        "No schemas: the first event of a type registers its first version.\n",
    )
    assert shell.json("list")["subjects"] == []


def test_show_draws_the_fields_with_types_origin_and_defaults(
    service: Client, shell: Shell
) -> None:
    post(service, event(1, agent={"team": "x", "level": 1}, skills=[{"id": 1}], open=None))
    post(service, event(2, agent={"level": 1.5}, metrics=None))
    shell("approve", "contact.created", "--yes")

    status, out, _ = shell("show", "contact.created")
    lines = {line.strip(" │├└─|`-+"): line for line in out.splitlines()}
    found = shell.json("show", "contact.created")
    older = shell.json("show", "contact.created", "--version", "1")

    assert status == 0
    assert 'team  string  since 1  default "none" (mapping)' in lines
    assert "level  integer | number (since 2)  since 1  default null" in lines
    assert "open  null  since 1  default null" in lines
    assert "metrics  null  since 2  default null" in lines
    assert "[]  object  since 1" in lines
    assert "nowhere" in out
    fields = {field["text"]: field for field in found["fields"]}
    assert (fields["agent.team"]["default"], fields["agent.team"]["default_from"]) == (
        "none",
        "mapping",
    )
    assert fields["agent.level"]["types"] == {"integer": 1, "number": 2}
    assert "default" not in fields["skills[].id"]
    assert found["contract"] == {"on_new_field": "hold", "on_type_conflict": "hold"}
    assert found["defaults_without_field"] == ["nowhere"]
    assert found["guards"]["paths_per_subject"] == 2000
    assert (older["version"], len(older["fields"]) + 1) == (1, len(found["fields"]))


def test_show_tells_typed_defaults_and_maps(
    service: Client, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(service, event(1, "evolving", name="x", by={"4711": {"n": 1}, "4712": {"n": 2}}))
    monkeypatch.setenv("CXONE_DEFAULTS", "typed")

    out = shell("show", "evolving")[1]

    assert 'default "" (typed)' in out
    assert "*  object  since 1  (a map: any key)" in out
    assert "by.*" in out
    assert shell.json("show", "evolving")["maps"] == ["by.*"]


def test_diff_tells_class_types_cause_and_time(service: Client, shell: Shell) -> None:
    post(service, event(1, "evolving", a=1), event(2, "evolving", a="x", b=None))
    post(service, event(3, "evolving", b=True))

    last = shell.json("diff", "evolving")
    middle = shell.json("diff", "evolving", "1..2")
    text = shell("diff", "evolving", "0..3")[1]
    net = shell("diff", "evolving", "1..3", "--net")[1]

    assert [(s["version"], [c["class"] for c in s["changes"]]) for s in last["steps"]] == [
        (3, ["type_widened"])
    ]
    assert [
        (c["text"], c["from"], c["to"], c["caused_by"]) for c in middle["steps"][0]["changes"]
    ] == [("a", ["integer"], ["integer", "string"], "e2"), ("b", None, [], "e2")]
    assert middle["steps"][0]["created_at"].endswith("Z")
    assert len(text.splitlines()) == len(shell("diff", "evolving", "..")[1].splitlines())
    assert "type_conflict" in text
    assert "e3" in text
    assert "integer | string" in net
    assert "e3" not in net


@pytest.mark.parametrize("wrong", ["x", "2..1", "1..1", "3..2..1", "0"])
def test_diff_refuses_what_is_no_range(shell: Shell, service: Client, wrong: str) -> None:
    post(service, event(1, "evolving", a=1), event(2, "evolving", b=1))

    assert shell("diff", "evolving", wrong)[0] == 2


def test_a_version_that_does_not_exist_is_told(shell: Shell, service: Client) -> None:
    post(service, event(1, "evolving", a=1))

    for arguments in (("show", "evolving", "--version", "7"), ("diff", "evolving", "1..7")):
        status, _, err = shell(*arguments)
        assert status == 1
        assert 'schema "evolving" has no version 7: it is at version 1' in err


def test_names_from_outside_cannot_control_the_terminal(service: Client, shell: Shell) -> None:
    nasty = "evil\x1b[2J"
    post(service, event(1, nasty, **{"\x1b]0;x": 1}), event(2, nasty, **{"\x9b": 1}))
    outputs = [
        shell("list"),
        shell("show", nasty),
        shell("diff", nasty),
        shell("show", "evil"),
        shell("approve", nasty),
        shell("explain", "-", stdin=json.dumps(event(3, nasty, **{"\x1b": 1})).encode()),
        shell("show", nasty, "--version", "9"),
    ]

    for _, out, err in outputs:
        assert "\x1b" not in out + err
        assert "\x9b" not in out + err
    assert r"\x1b[2J" in outputs[3][2]


def test_a_tree_survives_cp1252(service: Client, shell: Shell) -> None:
    post(service, event(1, "Łukasz", **{"Łódź": {"ü": 1}}))

    finished = subprocess.run(
        [sys.executable, "-m", "consumer", "schema", "show", "Łukasz"],
        env={
            **environment(),
            "PYTHONUTF8": "0",
            "PYTHONIOENCODING": "cp1252",
            "MONGODB_URI": os.environ["MONGODB_URI"],
            "MONGODB_DATABASE": shell.database.name,
        },
        capture_output=True,
        timeout=60,
        check=True,
    )

    text = finished.stdout.decode("cp1252")
    assert r"\u0141\xf3d\u017a" in text or "\\u0141ód\\u017a" in text
    assert "ü  integer" in text


def test_without_mongodb_the_status_is_3(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:9/")
    monkeypatch.setenv("CXONE_STORE_TIMEOUT", "200ms")

    assert shell("list")[0] == 3
    assert shell("explain", "-", stdin=json.dumps(event(1)).encode())[0] == 3


# -- export --------------------------------------------------------------------------------------

SENT = [
    event(1, "evolving", a=1, skills=[{"level": 1}, None], open=None, big=2**63),
    event(2, "evolving", a=1.5, skills=None, **{"a.b": 1, "": {"x": 1}, "$set": 1, "_id": 5}),
    event(3, "evolving", a=None, agent={"x": "y"}, by={"4711": 1, "4712": None}),
    event(4, "evolving", a=-(2**63), agent=None, by={"4713": 5}, open={"now": []}),
]


def payload_of(document: Document) -> Document:
    """The payload part of a stored document; what BSON has beyond JSON as JSON would be."""
    plain = json.loads(json.dumps(document, default=lambda value: int(str(value))))
    shadowed = {each["name"]: each["value"] for each in plain["_meta"].get("shadowed", [])}
    return {**{k: v for k, v in plain.items() if not is_reserved(k)}, **shadowed}


def test_the_exported_json_schema_describes_every_stored_payload(
    service: Client, shell: Shell, tmp_path: Path
) -> None:
    post(service, *SENT)
    status, out, err = shell("export", "evolving", "--out", str(tmp_path / "schema.json"))
    schema = json.loads((tmp_path / "schema.json").read_text(encoding="utf-8"))

    assert (status, out) == (0, "")
    assert "Wrote version" in err
    assert json.loads(shell("export", "evolving")[1]) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    stored = list(shell.database["events"].find({}, {"processed_at": 0, "_meta.received_at": 0}))
    assert len(stored) == 4
    assert all(is_valid(payload_of(document), schema) for document in stored)
    assert not is_valid({"skills": [{"level": "x"}]}, schema)


def test_the_exported_validator_is_taken_by_mongodb_and_by_all_that_is_stored(
    service: Client, shell: Shell
) -> None:
    post(service, *SENT, event(9, "case", a="text", skills=True))
    status, out, err = shell("export", "evolving", "--format", "mongodb")
    found = shell.json("export", "evolving", "--format", "mongodb")

    shell.database.command("collMod", "events", validator=json.loads(out))
    for document in shell.database["events"].find():
        shell.database["events"].replace_one({"_id": document["_id"]}, document)
    with pytest.raises(WriteError):
        shell.database["events"].insert_one({"_meta": {"subject": "evolving"}, "skills": True})

    assert status == 0
    assert sorted(found["left_out"]) == sorted(['"a.b"', '""', "$set", "_id"])
    assert all(f"left out, for a validator cannot speak of it: {name}" in err
               for name in found["left_out"])  # fmt: skip
    assert found["schema"] == json.loads(out)


# -- explain and learn ---------------------------------------------------------------------------


def test_explain_tells_what_would_happen_and_does_nothing(service: Client, shell: Shell) -> None:
    post(service, event(1, a=1), event(2, "evolving", a=1))
    lines = [
        event(3, a=2),
        event(4, a=1, b=1),
        event(5, "evolving", b=1),
        event(6, "evolving", b=2, c=1),
        event(7, "brand new", x=1),
        {"id": "e8"},
    ]
    stdin = b"\n".join(json.dumps(line).encode() for line in lines) + b"\nnonsense\n"

    found = shell.json("explain", "-", stdin=stdin, status=1)
    status, out, _ = shell("explain", "-", stdin=stdin)
    fine = shell.json("explain", "-", stdin=json.dumps(event(3, a=2)).encode())

    assert [(t["would_be"], t["version"], t["registers"]) for t in found] == [
        ("stored", 1, False),
        ("held", 1, False),
        ("stored", 2, True),
        ("stored", 3, True),
        ("stored", 1, True),
        ("dead_letter", 0, False),
        ("dead_letter", 0, False),
    ]
    assert [c["text"] for c in found[1]["held"]] == ["b"]
    assert [c["text"] for c in found[3]["changes"]] == ["c"]
    assert (found[5]["reason"], found[6]["reason"]) == ("missing_fields", "malformed_json")
    assert status == 1
    assert "would be held" in out
    assert "Would be: 4 stored, 2 dead letter, 1 held. New versions: 3." in out
    assert fine[0]["would_be"] == "stored"
    assert shell.database["schema_versions"].count_documents({}) == 2
    assert shell.database["events"].count_documents({}) == 2
    assert dead_letters(shell.database) == []


def test_explain_agrees_with_what_the_service_then_does(service: Client, shell: Shell) -> None:
    series = [event(1, a=1), event(2, a=1.5), event(3, a=1, b=1), event(4, a="x"), event(5, a=None)]
    stdin = "\n".join(map(json.dumps, series)).encode()
    foretold = shell.json("explain", "-", stdin=stdin, status=1)

    answers = post(service, *series)

    assert [t["version"] if t["would_be"] == "stored" else t["would_be"] for t in foretold] == [
        answer for _, answer in answers
    ]


def test_explain_tells_the_guard(
    service: Client, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(service, event(1, "evolving", a=1))
    monkeypatch.setenv("CXONE_SCHEMA_MAX_PATHS", "4")

    found = shell.json("explain", "-", stdin=json.dumps(event(2, "evolving", b=1, c=1)).encode())

    assert (found[0]["guard"], found[0]["untracked"]) == ("paths_per_subject", 1)
    assert [change["text"] for change in found[0]["changes"]] == ["b"]


def test_learn_registers_samples_once_before_the_first_event(
    shell: Shell, tmp_path: Path, service: Client
) -> None:
    samples = tmp_path / "samples.jsonl"
    events = [event(1, a=1, secret="value"), event(2, b=None), event(3, "case", x=[1])]
    samples.write_text("\n".join(map(json.dumps, events)), encoding="utf-8")

    shown = shell("learn", str(samples))
    nothing = shell.database["schema_versions"].count_documents({})
    done = shell.json("learn", str(samples), "--yes")
    again = shell.json("learn", str(samples), "--yes")

    assert (shown[0], nothing) == (1, 0)
    assert "add --yes" in shown[1]
    assert [(s["subject"], s["registered"]) for s in done["subjects"]] == [
        ("contact.created", 1),
        ("case", 1),
    ]
    assert done["subjects"][0]["changes"][0]["caused_by"] == "sample e1"
    assert (again["applied"], again["subjects"][0]["changes"]) == (False, [])
    assert shell.database["events"].count_documents({}) == 0
    assert "value" not in str(list(shell.database["schema_versions"].find()))
    assert post(service, event(9, a=2, b=None, secret="x")) == [(200, 1)]
    assert post(service, event(9, c=2)) == [(202, "held")]


def test_standard_output_holds_nothing_but_the_json(service: Client, shell: Shell) -> None:
    hold_three(service)

    finished = processes.run(
        ["--config", str(shell.config), "schema", "approve", "contact.created", "--yes", "--json"],
        shell.config.parent,
        {"MONGODB_URI": os.environ["MONGODB_URI"], "MONGODB_DATABASE": shell.database.name},
    )

    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["registered"] == 2


def test_learn_registers_nothing_when_a_sample_is_no_event(shell: Shell) -> None:
    stdin = json.dumps(event(1)).encode() + b"\n{}\n"

    status, _, err = shell("learn", "-", "--yes", stdin=stdin)

    assert status == 1
    assert "body 2: missing_fields" in err
    assert shell.database["schema_versions"].count_documents({}) == 0


def test_learn_keeps_the_bound_on_subjects(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXONE_SCHEMA_MAX_SUBJECTS", "2")
    stdin = b"\n".join(json.dumps(event(n, f"type {n}")).encode() for n in range(3))

    status, _, err = shell("learn", "-", "--yes", stdin=stdin)

    assert status == 1
    assert "CXONE_SCHEMA_MAX_SUBJECTS is 2" in err
    assert shell.database["schema_versions"].count_documents({}) == 0
