"""`schema list`, `show` and `diff` as a user sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.processes import environment
from tests.support.schema_shell import Shell, event, hold_three, post
from tests.support.service import Client


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
    assert found["contract"] == {
        "on_new_field": "hold",
        "on_type_conflict": "hold",
        "on_reader_break": "evolve",
    }
    assert found["defaults_without_field"] == ["nowhere"]
    assert found["guards"]["paths_per_subject"] == 2000
    assert (older["version"], len(older["fields"]) + 1) == (1, len(found["fields"]))


def test_show_tells_what_is_beyond_the_bound_and_that_nothing_is_filled(
    service: Client, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(service, event(1, "evolving", **{"k" * 300: 1, "a": 1, "b": 2}))
    monkeypatch.setenv("CXONE_FILL_MAX_FIELDS", "3")

    out = shell("show", "evolving")[1]
    found = shell.json("show", "evolving")
    monkeypatch.setenv("CXONE_DEFAULTS", "none")
    beside_defaults = shell("show", "evolving")
    shell.config.write_text("")
    of_none = shell.json("show", "evolving")

    filled = {field["text"]: field["default_from"] for field in found["fields"]}
    beyond = "beyond the bound"
    assert filled == {"id": "null", "type": "null", "k" * 300: beyond, "a": "null", "b": beyond}
    assert found["beyond_the_bound"] == 2
    assert out.count(beyond) >= 2
    assert {field["default_from"] for field in of_none["fields"]} == {"none"}
    assert (of_none["defaults"], of_none["beyond_the_bound"]) == ("none", 0)
    assert beside_defaults[0] == 2
    assert 'subjects."contact.created"' in beside_defaults[2]


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
