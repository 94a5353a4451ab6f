"""`schema pin`, `pins` and `unpin` beside the running service."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from tests.support.schema_shell import Shell, event, post
from tests.support.service import Client
from tests.support.signals import GONE

Document = dict[str, Any]


@pytest.fixture
def filled(service: Client, shell: Shell) -> Shell:
    post(
        service,
        event(1, "evolving", amount=1, who={"name": "Ada"}, later=None),
        event(2, "evolving", amount="much", who={"name": "Bob", "phone": "1"}, later=[1]),
        event(3, "evolving", **{"a.b": 1}),
    )
    return shell


def view(shell: Shell, name: str = "billing.evolving") -> dict[str, Document]:
    return {each["id"]: each for each in shell.database[name].find()}


def test_pin_shows_the_version_and_says_what_a_reader_must_know(filled: Shell) -> None:
    status, out, _ = filled("pin", "evolving@1", "--as", "billing", "--uses", "who")

    seen = view(filled)
    assert status == 0
    assert list(seen["e2"])[3:] == ["id", "type", "amount", "who", "later"]
    assert (seen["e1"]["amount"], seen["e2"]["amount"]) == (1, None)
    assert seen["e2"]["who"] == {"name": "Bob"}
    assert "billing reads evolving as version 1 has it, in the view billing.evolving" in out
    assert "Not shown: later: no type is known; version 2 has one." in out
    assert "createRole" in out
    assert '"collection": "billing.evolving"' in out
    assert "processed_at" in out
    assert "change streams" in out
    (deed,) = filled.database["audit"].find({"what": "schema pin"})
    assert (deed["subject"], deed["reader"], deed["version"]) == ("evolving", "billing", 1)


def test_pin_again_says_so_or_takes_another_version(filled: Shell) -> None:
    filled.json("pin", "evolving@1", "--as", "billing", "--yes")

    again = filled.json("pin", "evolving@1", "--as", "billing")
    _, out, _ = filled("pin", "evolving", "--as", "billing", "--mismatch", "keep", "--redact")
    newer = filled.json("pin", "evolving", "--as", "billing", "--mismatch", "keep", "--redact")

    assert not again["new"]
    assert "It was pinned to version 1." in out
    # It has a type; that is not why.
    assert 'Not shown: "a.b": a projection cannot name such a key at the top level.' in out
    assert (newer["new"], newer["version"]) == (False, 3)
    assert newer["not_shown"] == [
        {
            "path": '"a.b"',
            "why": "a projection cannot name such a key at the top level",
            "since": None,
        }
    ]
    assert filled.database["audit"].count_documents({"what": "schema pin"}) == 2


def test_a_pin_that_is_broken_already_needs_a_yes(filled: Shell) -> None:
    status, out, err = filled("pin", "evolving@1", "--as", "billing")
    refused = filled.json("pin", "evolving@1", "--as", "billing", status=1)
    nothing = filled.database["readers"].count_documents({})
    audited = filled.database["audit"].count_documents({})
    other = filled.json("pin", "evolving@1", "--as", "crm", "--uses", "who")
    agreed, _, _ = filled("pin", "evolving@1", "--as", "billing", "--yes")
    made = filled.json("pin", "evolving@1", "--as", "billing")

    first = filled.database["events"].find_one({"_meta.key": "e2"})
    assert first is not None
    (row,) = [line for line in out.splitlines() if "billing@1" in line]
    assert all(each in row for each in ("amount", "integer", "integer | string", first["_id"]))
    assert "say --yes" in " ".join(err.split())
    assert (status, nothing, audited, agreed) == (1, 0, 0, 0)
    assert [each["text"] for each in refused["breaches"]] == ["amount"]
    assert other["breaches"] == []
    assert (made["new"], len(made["breaches"])) == (False, 1)


def test_a_signal_breaks_a_pin_too_unless_it_is_muted(service: Client, shell: Shell) -> None:
    post(service, event(1, "evolving", amount=1, who={"name": "Ada"}))
    document = {
        "_id": {"subject": "evolving", "kind": "vanished", "path": ["who"]},
        "since": datetime(2026, 1, 31, tzinfo=timezone.utc),
        "last_seen": datetime(2026, 1, 31, tzinfo=timezone.utc),
        "score": 1.0,
        "figures": GONE,
        "state": "open",
        "ended_at": None,
        "is_told": True,
    }
    shell.database["signals"].insert_one(document)

    status, out, _ = shell("pin", "evolving", "--as", "billing", "--uses", "who.name")
    other = shell("pin", "evolving", "--as", "crm", "--uses", "amount")
    _, agreed, _ = shell("pin", "evolving", "--as", "billing", "--yes")
    readers = shell.json("show", "evolving")["readers"]
    shell.database["signals"].update_one({}, {"$set": {"state": "muted"}})
    muted = shell.json("show", "evolving")["readers"]

    (row,) = [line for line in out.splitlines() if "billing@1" in line]
    assert all(each in row for each in ("who", "nothing (vanished)", "2026-01-31"))
    assert (status, other[0]) == (1, 0)
    assert "Pinned: billing" in agreed
    assert [(each["reader"], len(each["breaches"])) for each in readers] == [
        ("billing", 1),
        ("crm", 0),
    ]
    assert [len(each["breaches"]) for each in muted] == [0, 0]


def test_pins_lists_what_is_pinned_and_the_state_of_its_view(filled: Shell) -> None:
    assert "No program is pinned" in filled("pins")[1]
    filled.json("pin", "evolving@1", "--as", "billing", "--uses", "who.name", "--uses", "id")
    filled.json("pin", "evolving", "--as", "crm")

    (billing, crm) = filled.json("pins")["pins"]
    _, out, _ = filled("pins")

    assert (billing["reader"], billing["version"], billing["newest"]) == ("billing", 1, 3)
    assert (billing["uses"], billing["state"]) == (["who.name", "id"], "view")
    assert (crm["view"], crm["uses"]) == ("crm.evolving", [])
    assert "crm.evolving" in out


def test_unpin_drops_the_view(filled: Shell) -> None:
    filled.json("pin", "evolving", "--as", "billing")

    status, _, err = filled("unpin", "evolving", "--as", "biling")
    gone = filled.json("unpin", "evolving", "--as", "billing")

    assert status == 1
    assert "did you mean evolving --as billing?" in " ".join(err.split())
    assert gone["view"] == "billing.evolving"
    assert "billing.evolving" not in filled.database.list_collection_names()
    assert filled.json("pins") == {"pins": []}
    assert filled.database["audit"].count_documents({"what": "schema unpin"}) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("evolving", "--as", "Billing"), 2, "a letter first"),
        (("evolving", "--as", "system"), 2, "not `system`"),
        (("evolving@9", "--as", "billing"), 1, "has no version 9"),
        (("evolvin", "--as", "billing"), 1, 'did you mean "evolving"'),
        (("evolving", "--as", "billing", "--uses", "who.nam"), 1, "did you mean who.name"),
        (("evolving", "--as", "billing", "--uses", "a["), 2, "is not a path"),
        (("evolving", "--as", "billing", "--mismatch", "no"), 2, "null"),
    ],
)
def test_what_cannot_be_pinned_is_told(
    filled: Shell, arguments: tuple[str, ...], status: int, says: str
) -> None:
    found, _, err = filled("pin", *arguments)

    assert found == status
    assert says in " ".join(err.replace("│", " ").split())
    assert filled.database["readers"].count_documents({}) == 0


def test_a_collection_of_that_name_is_left_alone(filled: Shell) -> None:
    filled.database["billing.evolving"].insert_one({"_id": 1})

    status, _, err = filled("pin", "evolving", "--as", "billing")

    assert status == 1
    assert "was not made by a pin" in " ".join(err.split())
    assert filled.database["billing.evolving"].count_documents({}) == 1


def test_a_subject_may_have_an_at_sign_in_its_name(service: Client, shell: Shell) -> None:
    post(service, event(1, "mail@2", a=1))

    assert shell.json("pin", "mail@2", "--as", "billing")["view"] == "billing.mail%402"
    assert shell.json("pin", "mail@2@1", "--as", "crm")["version"] == 1


@pytest.mark.parametrize("number", ["9", "9" * 9, "9" * 20, "9" * 5000])
def test_a_version_that_cannot_be_is_said_to_be_none(filled: Shell, number: str) -> None:
    status, _, err = filled("pin", f"evolving@{number}", "--as", "billing")
    shown = filled("show", "evolving", "--version", number[:20])

    assert (status, shown[0]) == (1, 1)
    assert "no version" in err or "no schema" in err
    assert f"no version {number[:20]}" in shown[2]
    assert filled.json("pins") == {"pins": []}
