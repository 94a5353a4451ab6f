"""`schema check` tells whom payloads or a planned change would break, and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.schema_shell import Shell, event, post
from tests.support.service import Client

SUBJECT = "evolving"


@pytest.fixture
def pinned(service: Client, shell: Shell) -> Shell:
    post(service, event(1, SUBJECT, amount=1, who={"name": "x", "email": "y"}, tags=["a"]))
    # A later version widens it: the reader of the first one is broken by what others send already.
    post(service, event(2, SUBJECT, amount=2, who={"name": "x", "email": 7}))
    shell.pin("billing", SUBJECT)
    shell.pin("names", SUBJECT, 1, "who.name")
    shell.pin("newest", SUBJECT, 2)
    return shell


def body(**fields: Any) -> bytes:
    return json.dumps({"id": "n", "type": SUBJECT, **fields}).encode()


def test_payloads_break_those_who_know_another_type(pinned: Shell) -> None:
    before = pinned.database["schema_versions"].count_documents({})

    status, out, _ = pinned("check", "-", stdin=body(amount=1.5, who={"name": "z", "email": 1}))
    found = pinned.json("check", "-", stdin=body(amount=2.5, new=[1]), status=1)

    assert status == 1
    rows = [line for line in out.splitlines() if "billing (" in line or "newest (" in line]
    assert [("amount" in row, "who.email" in row) for row in rows[:3]] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert "names (evolving@1)" in out
    assert {(e["reader"], e["text"], *e["from"], *e["to"]) for e in found["findings"]} == {
        ("billing", "amount", "integer", "number"),
        ("newest", "amount", "integer", "number"),
    }
    assert pinned.database["schema_versions"].count_documents({}) == before
    assert pinned.database["events"].count_documents({}) == 2


def test_what_all_know_or_nobody_uses_breaks_nobody(pinned: Shell) -> None:
    status, out, _ = pinned("check", "-", stdin=body(amount=3, more={"x": None}, tags=[]))
    of_one = pinned("check", "-", "--reader", "names", stdin=body(amount="t", who={"name": "x"}))
    other = pinned("check", "-", stdin=json.dumps(event(1, "unknown", amount="t")).encode())

    assert (status, of_one[0], other[0]) == (0, 0, 0)
    assert "Nobody breaks." in out
    assert "names (evolving@1)" in of_one[1]
    assert "billing" not in of_one[1]
    assert "nobody is pinned" in other[1]


def test_a_planned_schema_is_judged_by_what_it_allows(pinned: Shell) -> None:
    _, exported, _ = pinned("export", SUBJECT, "--version", "1", "--format", "jsonschema")
    schema = json.loads(exported)
    (pinned.config.parent / "same.json").write_text(exported)
    schema["properties"]["amount"]["type"] = ["string", "null"]
    del schema["properties"]["who"]["properties"]["name"]
    schema["properties"]["who"]["additionalProperties"] = False
    (pinned.config.parent / "planned.json").write_text(json.dumps(schema))
    del schema["$schema"], schema["title"]
    (pinned.config.parent / "plain.json").write_text(json.dumps(schema))

    assert pinned("check", "same.json")[0] == 0
    found = pinned.json("check", "planned.json", "--reader", "billing", status=1)["findings"]
    plain = pinned.json("check", "plain.json", "--reader", "names", "--subject", SUBJECT, status=1)[
        "findings"
    ]

    assert {(each["text"], each["class"]) for each in found} == {
        ("amount", "type_conflict"),
        ("who.name", "vanished"),
    }
    assert [each["text"] for each in plain] == ["who.name"]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ('{"$schema": "https://json-schema.org/draft/2020-12/schema", "not": {}}', (), "--type"),
        ('{"not": {}}', ("--subject", SUBJECT), "'not' is not understood"),
        ('{"type": "object"}', ("--subject", "evolvin"), "did you mean"),
        ("{", ("--subject", SUBJECT), "no JSON Schema"),
        ("{}", ("--reader", "nobody"), "billing, names, newest"),
    ],
)
def test_what_is_not_understood_is_said_and_is_never_compatible(
    pinned: Shell, text: str, arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = pinned("check", "-", *arguments, stdin=text.encode())

    assert (status, out) == (2, "")
    assert said in " ".join(err.split())


def test_what_is_no_event_is_a_finding(pinned: Shell) -> None:
    status, out, _ = pinned("check", "-", stdin=b'{"type": "evolving"}')

    assert status == 1
    assert "missing_fields" in out


def test_masked_names_are_not_shown(pinned: Shell) -> None:
    pinned.monkeypatch.setenv("CXONE_REDACT", "who")

    _, out, _ = pinned("check", "-", stdin=body(who={"name": 1}))

    assert "billing" in out
    assert "who.name" not in out


def test_a_schema_that_nobody_can_read_is_wrong_usage(pinned: Shell) -> None:
    for stdin in (b"[" * 100_000, b'{"type": {}}'):
        status, out, err = pinned("check", "-", "--subject", SUBJECT, stdin=stdin)

        assert (status, "Traceback" in out + err) == (2, False)


def test_a_reader_whose_version_is_lost_is_not_said_to_be_unbroken(pinned: Shell) -> None:
    pinned.database["schema_versions"].delete_one({"_id.subject": SUBJECT, "_id.version": 1})

    lost = pinned("check", "-", stdin=body(amount="text"))
    other = pinned("check", "-", "--reader", "newest", stdin=body(amount=1))

    assert lost[0] == 2
    # The line is wrapped and framed.
    assert "is lost" in " ".join(lost[2].replace("│", " ").split())
    assert other[0] == 0
