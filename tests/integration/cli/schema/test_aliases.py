"""`schema alias` and `schema unalias` as a user sees them, beside the running service."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.schema_shell import Document, Shell, event, post
from tests.support.service import Client, eventually


def documents(shell: Shell) -> dict[str, Document]:
    return {each["id"]: each for each in shell.database["events"].find()}


def renamed(service: Client) -> None:
    """Two events of before the rename, one of after, and one that sends both."""
    post(
        service,
        event(1, "evolving", case={"id": 1, "owner": "a"}),
        event(2, "evolving", case={"id": 2, "owner": "b"}),
        event(3, "evolving", contact={"id": 3, "owner": "c"}),
        event(4, "evolving", contact={"id": 4}, case={"id": 5}),
    )


@pytest.mark.slow
def test_an_alias_is_shown_set_followed_by_the_service_and_ended(
    service: Client, shell: Shell
) -> None:
    renamed(service)
    before = documents(shell)

    dry = shell.json("alias", "evolving", "case", "contact", "--dry-run")
    assert (dry["applied"], dry["version"], dry["filled"], dry["kept"]) == (False, 3, 1, 1)
    assert documents(shell) == before
    assert shell.json("list")["subjects"][0]["version"] == 2

    told = shell.json("alias", "evolving", "case", "contact")

    assert (told["applied"], told["new"], told["version"]) == (True, True, 3)
    assert (told["path"], told["from"]) == ("case", "contact")
    assert [(c["class"], c["text"]) for c in told["changes"]] == [("alias_added", "case")]
    deed = shell.database["audit"].find_one({"what": "schema alias"})
    assert deed is not None
    assert (deed["subject"], deed["path"], deed["new"]) == ("evolving", "case", "contact")
    assert shell.database["database_format"].find_one({"_id": "stored_format"})["format"] == 4  # type: ignore[index]
    assert shell.json("alias", "evolving", "case", "contact")["new"] is False

    assert shell.json("backfill")["result"]["documents"] == 4
    after = documents(shell)
    assert after["e3"]["case"] == {"id": 3, "owner": "c"}
    assert after["e4"]["case"] == {"id": 5, "owner": None}
    numbers = iter(range(10, 10_000))

    def is_filled() -> bool:
        n = next(numbers)
        post(service, event(n, "evolving", contact={"id": n}))
        return bool(documents(shell)[f"e{n}"]["case"] == {"id": n, "owner": None})

    eventually(is_filled, 60)
    shown = shell.json("show", "evolving")["aliases"]
    assert [(a["old"], a["from"], a["since"], a["kept"]) for a in shown] == [
        ("case", "contact", 3, 1)
    ]
    text = shell("show", "evolving")[1]
    assert "filled from contact" in text
    assert "1 documents keep theirs" in " ".join(text.split())
    assert "alias_added" in shell("diff", "evolving")[1]

    assert shell.json("unalias", "evolving", "case", "--dry-run")["applied"] is False
    ended = shell.json("unalias", "evolving", "case")
    assert [(c["class"], c["text"]) for c in ended["changes"]] == [("alias_removed", "case")]
    assert shell.json("show", "evolving")["aliases"][0]["until"] == 4

    def is_null() -> bool:
        n = next(numbers)
        post(service, event(n, "evolving", contact={"id": n}))
        return documents(shell)[f"e{n}"]["case"] is None

    eventually(is_null, 60)
    shell("backfill")
    assert documents(shell)["e3"]["case"] == {"id": 3, "owner": "c"}


def test_a_value_is_set_and_read_as_the_field_knows_it(service: Client, shell: Shell) -> None:
    post(service, event(1, "evolving", a=1, text="x"), event(2, "evolving"))

    told = shell.json("alias", "evolving", "--value", "a", "-7")
    assert (told["path"], told["from"], told["filled"], told["kept"]) == ("a", None, 1, 1)
    shell("alias", "evolving", "--value", "text", "12")
    shell("backfill")

    found = documents(shell)["e2"]
    assert (found["a"], found["text"]) == (-7, "12")
    _, out, _ = shell("show", "evolving")
    assert "a filled with -7 since 2" in " ".join(out.split())


def test_aliases_that_cannot_be_are_told_in_one_sentence(service: Client, shell: Shell) -> None:
    renamed(service)
    shell("alias", "evolving", "case.id", "number")

    for arguments, says in (
        (("alias", "evolving", "case", "case.id"), "hold each other"),
        (("alias", "evolving", "case", "other"), "schema unalias evolving case.id"),
        (("alias", "evolving", "contact", "case"), "no chains or circles"),
        (("alias", "evolving", "caze", "contact"), "did you mean case"),
        (("alias", "evolving", "contact.id", "_id"), "reserved"),
        (("alias", "evolving", "--value", "contact.id", "text"), "of another type"),
        (("retire", "evolving", "case"), "end that first"),
        (("unalias", "evolving", "contact"), "it has case.id"),
    ):
        status, out, err = shell(*arguments)
        assert (status, out) == (1, "")
        assert says in " ".join(err.split())
    for wrong in (
        ("alias", "evolving"),
        ("alias", "evolving", "case"),
        ("alias", "evolving", "case", "x", "--value", "case", "1"),
    ):
        assert shell(*wrong)[0] == 2


def test_older_processes_are_all_named_before_anything_is_written(
    service: Client, shell: Shell
) -> None:
    renamed(service)
    for n in range(3):
        shell.database["instances"].insert_one(
            {"_id": f"old-{n}", "host": "there", "version": "1.0.0", "format": 3}
        )

    status, _, err = shell("alias", "evolving", "case", "contact")

    assert status == 1
    assert all(f"old-{n}" in err for n in range(3))
    assert shell.json("list")["subjects"][0]["version"] == 2
    assert shell.database["audit"].find_one({"what": "schema alias"}) is None
    recorded: Any = shell.database["database_format"].find_one({"_id": "stored_format"})
    assert recorded["format"] < 4


def test_a_mask_of_one_field_hides_the_other_in_commands_and_in_the_console(
    service: Client, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXONE_REDACT", "agent")
    post(service, event(1, "evolving", agent="Ann"), event(2, "evolving", owner={"Bo": 1}))
    shell("alias", "evolving", "agent", "owner")
    shell("alias", "evolving", "--value", "agent", "Carla")

    out = "".join(shell(*each)[1] for each in (("show", "evolving"), ("diff", "evolving")))

    assert "owner" in out
    assert "Bo" not in out
    assert "Carla" not in out
