"""A person's no, and a reader that would break, decide what becomes of deliveries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from consumer.cli.main import run
from consumer.core.clock import utc_now
from consumer.readers.objections import RejectedChanges, StandingObjections
from consumer.readers.pins import Pin, Pins
from consumer.schemas.json_types import INTEGER, STRING
from consumer.schemas.model import Change
from consumer.schemas.objections import NONE, Objections
from consumer.schemas.policy import Contract
from consumer.schemas.registry.versions import SchemaVersions
from tests.support.schema_shell import Shell, event, post
from tests.support.service import Client, eventually, running_service

SUBJECT = "calls"
HOLDS = f'[subjects."{SUBJECT}"]\non_reader_break = "hold"\n'


@pytest.fixture
def service(shell: Shell, mongod_uri: str) -> Iterator[Client]:
    shell.config.write_text(HOLDS, encoding="utf-8")
    given = {"cxone_config": str(shell.config), "cxone_sweep_interval": "1s"}
    with running_service(mongod_uri, shell.database.name, **given) as client:
        yield client


def letters(shell: Shell) -> list[tuple[str, str]]:
    found = shell.database["dead_letter_queue"].find().sort("timestamp")
    return [(each["reason"], each["status"]) for each in found]


def stored(shell: Shell, number: int) -> dict[str, Any] | None:
    return shell.database["events"].find_one({"id": f"e{number}"})


def version(shell: Shell) -> int:
    return shell.database["schema_versions"].count_documents({"_id.subject": SUBJECT})


def pin(shell: Shell, at: int) -> Pin:
    pins = Pins(shell.database["readers"])
    made = Pin(pins.view_name("billing", SUBJECT), "billing", SUBJECT, at, utc_now(), "somebody")
    pins.put(made)
    return made


def call(number: int, **fields: Any) -> dict[str, Any]:
    return event(number, SUBJECT, **fields)


def test_what_breaks_a_reader_is_held_until_it_is_unpinned(service: Client, shell: Shell) -> None:
    assert post(service, call(1, amount=1)) == [(200, 1)]
    unread = post(service, call(2, amount=1.5))
    pinned = pin(shell, 1)

    # Version 2 knows the number already: what breaks the reader there came before it was pinned.
    answers = post(service, call(3, amount=2.5), call(4, amount="t"), call(5, amount=2, new=1))

    assert unread == [(200, 2)]
    assert answers == [(200, 2), (202, "held"), (200, 3)]
    assert letters(shell) == [("contract_hold", "held")]
    Pins(shell.database["readers"]).end(pinned, utc_now())
    eventually(lambda: letters(shell) == [("contract_hold", "resolved")])
    assert (stored(shell, 4) or {})["amount"] == "t"


def test_an_approval_lets_in_what_breaks_a_reader(service: Client, shell: Shell) -> None:
    post(service, call(1, amount=1))
    pin(shell, 1)

    assert post(service, call(2, amount=1.5)) == [(202, "held")]
    explained = shell.json(
        "explain", "-", stdin=b'{"id":"9","type":"calls","amount":7.5}', status=1
    )
    assert [each["text"] for each in explained["bodies"][0]["held"]] == ["amount"]
    assert shell("approve", SUBJECT, "--yes")[0] == 0
    assert post(service, call(3, amount=2.5)) == [(200, 2)]


def test_a_rejected_change_is_held_until_it_is_revoked(service: Client, shell: Shell) -> None:
    post(service, call(1, a=1))

    status, said, _ = shell("reject", SUBJECT, "b", "c.d")
    answers = post(service, call(2, a=2, b=1), call(3, c={"d": 1}), call(4, c={"e": 1}))
    approved = shell("approve", SUBJECT, "--yes")
    listed = shell("reject")[1]

    assert status == 0
    assert "b, c.d" in said
    assert answers == [(202, "held"), (202, "held"), (200, 2)]
    assert approved[0] == 0
    assert "rejected" in approved[1]
    assert "whatever is new" in listed
    assert [status for _, status in letters(shell)] == ["held", "held"]

    assert shell("reject", SUBJECT, "b", "--revoke")[0] == 0
    eventually(lambda: letters(shell)[0][1] == "resolved")
    assert letters(shell)[1][1] == "held"
    assert shell("reject", SUBJECT, "b", "--revoke")[0] == 1
    # It was tried once already when the other one was revoked.
    assert shell("reject", SUBJECT, "c.d", "--revoke")[0] == 0
    eventually(lambda: letters(shell)[1][1] == "resolved")
    assert [each["what"] for each in shell.database["audit"].find().sort("_id")][:2] == [
        "schema reject",
        "schema reject",
    ]


def test_a_held_delivery_tells_who_objects(service: Client, shell: Shell) -> None:
    post(service, call(1, amount=1))
    pin(shell, 1)
    shell("reject", SUBJECT, "b")
    post(service, call(2, amount=1.5), call(3, b=1, amount=1.5))

    by_reader, by_person = shell.database["dead_letter_queue"].find().sort("timestamp")
    explained = [
        shell.json("explain", "-", stdin=json.dumps(call(4, **fields)).encode(), status=1)
        for fields in ({"amount": 7.5}, {"b": 1})
    ]
    run(["--config", str(shell.config), "dlq", "show", by_person["_id"]])
    shown = " ".join(shell.capsys.readouterr().out.split())
    stays = shell("approve", SUBJECT)[1]

    assert by_reader["error_message"] == (
        'the contract of schema "calls" holds 1 change(s) that break billing: approve or reject'
        " them, or let the contract evolve"
    )
    assert by_person["error_message"] == (
        'a change of schema "calls" was rejected: `schema reject` lists such changes, and takes'
        " them back"
    )
    assert [each["bodies"][0]["message"] for each in explained] == [
        by_reader["error_message"],
        by_person["error_message"],
    ]
    assert 'now: a change of schema "calls" was rejected; next: `schema reject' in shown
    assert "was rejected: `schema reject` lists it" in " ".join(stays.split())


def test_who_decides_is_told_whom_that_breaks(service: Client, shell: Shell) -> None:
    post(service, call(1, amount=1, old="x"))
    shell("alias", SUBJECT, "old", "new")
    pin(shell, 1)
    post(service, call(2, amount=1.5))
    sample = json.dumps(call(3, amount="t")).encode()

    def broken(*command: str, status: int, stdin: bytes = b"") -> list[tuple[str, str, int]]:
        said = shell.json(*command, stdin=stdin, status=status)
        told = shell(*command, stdin=stdin)[1]
        found = said["subjects"][0]["breaks"] if "subjects" in said else said["breaks"]
        assert all(f"{each['reader']}@1" in told for each in found)
        return [(each["reader"], each["text"], each["since"]) for each in found]

    assert broken("approve", SUBJECT, status=1) == [("billing", "amount", 3)]
    assert broken("learn", "-", stdin=sample, status=1) == [("billing", "amount", 3)]
    assert broken("unalias", SUBJECT, "old", "--dry-run", status=0) == [("billing", "old", 3)]
    assert broken("alias", SUBJECT, "amount", "n", "--dry-run", status=0) == []
    assert broken("retire", SUBJECT, "amount", "--dry-run", status=0) == []


def test_pins_object_only_where_the_contract_holds_what_breaks_them(shell: Shell) -> None:
    database = shell.database
    pin(shell, 1)
    rejected = RejectedChanges(database["rejected_changes"])
    standing = StandingObjections(Pins(database["readers"]), rejected, *[lambda *_: None] * 2)

    assert standing(SUBJECT, Contract()) is NONE
    assert standing(SUBJECT, Contract(on_reader_break="hold")).fingerprint
    assert standing("another", Contract(on_reader_break="hold")) is NONE


def test_a_pin_that_needs_something_else_since_holds_what_breaks_that(
    service: Client, shell: Shell
) -> None:
    post(service, call(1, a=1, b=1))
    database = shell.database
    versions = SchemaVersions(database["schema_versions"])
    rejected = RejectedChanges(database["rejected_changes"])
    standing = StandingObjections(Pins(database["readers"]), rejected, versions.one, versions.head)
    conflict = Change("type_conflict", ("b",), INTEGER, STRING | INTEGER)

    def objections(*uses: str) -> Objections:
        shell.pin("billing", SUBJECT, 1, *uses)
        return standing(SUBJECT, Contract(on_reader_break="hold"))

    before, since = objections("a"), objections("b")

    assert (before.broken(conflict), since.broken(conflict)) == ([], ["billing"])
    assert before.fingerprint != since.fingerprint


def test_a_pin_whose_version_is_lost_holds_what_breaks_who_knows_all_that_is_known(
    service: Client, shell: Shell
) -> None:
    post(service, call(1, a=1))
    pin(shell, 1)
    post(service, call(2, b="x"))
    database = shell.database
    versions = SchemaVersions(database["schema_versions"])
    rejected = RejectedChanges(database["rejected_changes"])
    standing = StandingObjections(Pins(database["readers"]), rejected, versions.one, versions.head)
    conflict = Change("type_conflict", ("b",), STRING, STRING | INTEGER)
    added = Change("field_added", ("c",), None, STRING)
    known = standing(SUBJECT, Contract(on_reader_break="hold"))

    database["schema_versions"].delete_one({"_id.subject": SUBJECT, "_id.version": 1})
    standing = StandingObjections(Pins(database["readers"]), rejected, versions.one, versions.head)
    lost = standing(SUBJECT, Contract(on_reader_break="hold"))
    listed = json.loads(shell("pins", "--json")[1])["pins"]
    shown = shell("show", SUBJECT)[1]

    assert (known.broken(conflict), known.broken(added)) == ([], [])
    assert (lost.broken(conflict), lost.broken(added)) == (["billing"], [])
    assert [each["state"] for each in listed] == ["version lost"]
    assert "its version is lost: pin it again" in " ".join(shown.split())


def test_a_rejected_change_is_stored_and_never_registered(service: Client, shell: Shell) -> None:
    post(service, call(1, a=1))
    shell("reject", SUBJECT, "a", "--type", "string", "--then", "store")
    shell("reject", SUBJECT, "secret", "--then", "store")

    answers = post(service, call(2, a="t", b=1), call(3, a=3, secret={"x": 1}), call(4, a=1.5))
    learned = shell(
        "learn", "-", "--yes", stdin=b'{"id":"9","type":"calls","secret":1,"other":true}'
    )

    assert answers == [(200, 2), (200, 2), (200, 3)]
    kept = stored(shell, 3) or {}
    assert kept["secret"] == {"x": 1}
    assert kept["_meta"]["untracked"] >= 1
    assert (stored(shell, 2) or {})["_meta"]["untracked"] == 1
    assert learned[0] == 0
    paths = [
        tuple(field["path"])
        for each in shell.database["schema_versions"].find()
        for field in each["fields"]
    ]
    assert ("other",) in paths
    assert not any(path[0] == "secret" for path in paths)


def test_what_brings_a_discarded_change_expires_and_nobody_waits_for_it(
    service: Client, shell: Shell
) -> None:
    post(service, call(1, a=1))
    shell("reject", SUBJECT, "b")
    post(service, call(2, b=1))
    shell("reject", SUBJECT, "b", "--then", "discard")

    answers = post(service, call(3, b=2), call(3, b=2), call(4, a=2))

    assert answers == [(202, "discarded"), (202, "discarded"), (200, 1)]
    eventually(lambda: {status for _, status in letters(shell)} == {"discarded"})
    copies = shell.database["dead_letter_queue"].find_one({"reason": "change_rejected"}) or {}
    assert copies["seen"] == 2
    assert (copies["expires_at"] - copies["ended_at"]).days == 30
    assert bytes(copies["original_payload"])
    assert version(shell) == 1
    explained = shell.json("explain", "-", stdin=b'{"id":"9","type":"calls","b":7}', status=1)
    assert [each["would_be"] for each in explained["bodies"]] == ["discarded"]
    counted = service.get("/metrics").body.decode()
    assert 'outcome="discarded"' in counted

    shell("reject", SUBJECT, "b", "--revoke")
    assert post(service, call(5, b=3)) == [(200, 2)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cals", "a"), "did you mean"),
        ((SUBJECT, "a..b"), "not a path"),
        ((SUBJECT, "a", "--type", "text"), "is none of boolean"),
        ((SUBJECT, "a", "--then", "drop"), "discard"),
        ((SUBJECT, "--revoke"), "which PATH"),
        ((SUBJECT, ""), "at least one key"),
        ((SUBJECT, 'm."a@b.example".x'), 'say "m.*.x"'),
    ],
)
def test_wrong_words_are_told(
    service: Client, shell: Shell, arguments: tuple[str, ...], said: str
) -> None:
    post(service, call(1, a=1, m={f"{n}@b.example": {"x": 1} for n in range(3)}))

    status, _, err = shell("reject", *arguments)

    assert status in (1, 2)
    assert said in " ".join(err.split())
    assert shell.database["rejected_changes"].count_documents({}) == 0


def test_the_audit_keeps_no_name_that_tells_whose_it_is(service: Client, shell: Shell) -> None:
    post(service, call(1, a=1, b=1))

    assert shell("reject", SUBJECT, 'people."ann@example.com".phone')[0] == 0
    assert shell("alias", SUBJECT, "a", 'people."ann@example.com".x')[0] == 0
    assert shell("alias", SUBJECT, "--value", "b", "1712345678901")[0] == 0

    said = list(shell.database["audit"].find())
    assert len(said) == 3
    assert not any(theirs in str(said) for theirs in ("ann@", "1712345678901"))
    assert "phone" in str(said)
