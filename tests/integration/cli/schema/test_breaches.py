"""`schema list|show|diff` say which readers a version broke, in what, and by which event."""

from __future__ import annotations

import pytest

from tests.support.schema_shell import Shell, event, post
from tests.support.service import Client

SUBJECT = "evolving"


@pytest.fixture
def broken(service: Client, shell: Shell) -> Shell:
    post(service, event(1, SUBJECT, wait=1, who={"name": "x", "email": "y"}))
    shell.pin("billing", SUBJECT)
    shell.pin("names", SUBJECT, 1, "who.name")
    post(service, event(2, SUBJECT, wait=1.5, who={"name": "x", "email": 7}))
    shell.pin("newest", SUBJECT, 2)
    post(service, event(3, SUBJECT, more=1))
    return shell


def first_event(shell: Shell) -> str:
    found = shell.database["events"].find_one({"_meta.key": "e2"})
    assert found is not None
    return str(found["_id"])


def test_diff_tells_whom_a_version_broke(broken: Shell) -> None:
    _, out, _ = broken("diff", SUBJECT, "2")
    found = broken.json("diff", SUBJECT)
    all_of_them = broken.json("diff", SUBJECT, "0..3")

    assert "Breaks" in out
    (row,) = [line for line in out.splitlines() if "billing@1" in line and "wait" in line]
    assert all(each in row for each in ("integer", "number", first_event(broken)))
    assert found["breaches"] == []
    assert [(e["reader"], e["text"], e["since"]) for e in all_of_them["breaches"]] == [
        ("billing", "wait", 2),
        ("billing", "who.email", 2),
    ]
    assert all_of_them["breaches"][1] == {
        "reader": "billing",
        "version": 1,
        "class": "type_conflict",
        "path": ["who", "email"],
        "text": "who.email",
        "from": ["string"],
        "to": ["integer", "string"],
        "since": 2,
        "at": None,
        "first_event": first_event(broken),
    }


def test_show_lists_the_readers_and_what_broke_each(broken: Shell) -> None:
    _, out, _ = broken("show", SUBJECT)
    _, before, _ = broken("show", SUBJECT, "--version", "1")
    readers = broken.json("show", SUBJECT)["readers"]

    assert "2 fields since version 2" in out
    assert "Breaks" in out
    assert "Breaks" not in before
    assert [(e["reader"], e["version"], len(e["breaches"])) for e in readers] == [
        ("billing", 1, 2),
        ("names", 1, 0),
        ("newest", 2, 0),
    ]


def test_list_counts_the_readers_of_each_subject(broken: Shell) -> None:
    _, out, _ = broken("list")
    (row,) = broken.json("list")["subjects"]

    (line,) = [line for line in out.split("Readers")[1].splitlines() if SUBJECT in line]
    assert [word for word in line.split() if word.isalnum()] == [SUBJECT, "3", "1", "billing"]
    assert (row["readers"], row["broken"]) == (3, ["billing"])


def test_without_readers_nothing_is_said_of_them(service: Client, shell: Shell) -> None:
    post(service, event(1, SUBJECT, wait=1), event(2, SUBJECT, wait="t"))

    shown = [shell(*each)[1] for each in (("list",), ("show", SUBJECT), ("diff", SUBJECT))]

    assert not any(word in out for out in shown for word in ("eaders", "Breaks"))


def test_hidden_names_and_ids_are_not_shown(broken: Shell) -> None:
    broken.monkeypatch.setenv("CXONE_REDACT", "who,id")

    outs = [broken(*each)[1] for each in (("show", SUBJECT), ("diff", SUBJECT, "2"))]

    assert all("billing@1" in out and first_event(broken) in out for out in outs)
    assert not any(word in out for out in outs for word in ("email", "who.name", "e2 "))


@pytest.mark.parametrize("width", [80, 120])
def test_tables_of_a_terminal_are_as_wide_as_it_is(broken: Shell, width: int) -> None:
    broken.monkeypatch.setattr("consumer.cli.console._REDIRECTED_WIDTH", width)

    _, out, _ = broken("show", SUBJECT)

    (row,) = [line for line in out.splitlines() if "billing@1" in line and "who.email" in line]
    assert all(each in row for each in ("string", "integer | string"))
    assert f"Version 2 breaks\nfirst event {first_event(broken)}\n" in out
    assert all(len(line) <= width for line in out.splitlines())
