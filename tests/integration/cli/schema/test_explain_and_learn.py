"""`schema explain` and `learn` on samples of a user."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.schema_shell import Shell, event, hold_three, post
from tests.support.service import Client, dead_letters


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

    found = shell.json("explain", "-", stdin=stdin, status=1)["bodies"]
    status, out, _ = shell("explain", "-", stdin=stdin)
    fine = shell.json("explain", "-", stdin=json.dumps(event(3, a=2)).encode())["bodies"]

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
    foretold = shell.json("explain", "-", stdin=stdin, status=1)["bodies"]

    answers = post(service, *series)

    assert [t["version"] if t["would_be"] == "stored" else t["would_be"] for t in foretold] == [
        answer for _, answer in answers
    ]


def test_explain_tells_the_guard(
    service: Client, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(service, event(1, "evolving", a=1))
    monkeypatch.setenv("CXONE_SCHEMA_MAX_PATHS", "4")

    found = shell.json("explain", "-", stdin=json.dumps(event(2, "evolving", b=1, c=1)).encode())[
        "bodies"
    ]

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
