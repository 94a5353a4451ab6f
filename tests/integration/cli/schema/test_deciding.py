"""`schema retire` and `schema unmap` as a user sees them, beside the running service."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.doctor import schemas
from tests.integration.console.test_console import visiting
from tests.support.doctor import settings_of, target
from tests.support.schema_shell import Document, Shell, event, post
from tests.support.service import Client, eventually, running_service

IDS = [f"6f1b9a2e-0d0c-4f57-9a0c-0242ac12000{n}" for n in range(3)]


def fields(shell: Shell, subject: str = "contact.created") -> dict[str, Any]:
    return {each["text"]: each for each in shell.json("show", subject)["fields"]}


def documents(shell: Shell) -> dict[str, Document]:
    return {each["id"]: each for each in shell.database["events"].find()}


@pytest.mark.slow
def test_a_field_is_retired_taken_out_and_shown_as_retired(service: Client, shell: Shell) -> None:
    post(service, event(1, "evolving", a=1), event(2, "evolving", a=1, b={"c": 1}))
    post(service, event(3, "evolving", a=1))
    shell("backfill")
    assert [documents(shell)[f"e{n}"]["b"] for n in (1, 2, 3)] == [None, {"c": 1}, None]

    dry = shell.json("retire", "evolving", "b", "--dry-run")
    assert (dry["applied"], dry["version"], dry["documents"], dry["left"]) == (False, 3, 2, 0)
    assert shell.json("list")["subjects"][0]["version"] == 2

    told = shell.json("retire", "evolving", "b")

    assert (told["applied"], told["new"], told["version"]) == (True, True, 3)
    assert told["fields"] == ["b", "b.c"]
    assert [(c["class"], c["text"]) for c in told["changes"]] == [("field_retired", "b")]
    assert {text: f.get("retired") for text, f in fields(shell, "evolving").items()} == {
        "id": None, "type": None, "a": None, "b": 3, "b.c": 3,
    }  # fmt: skip
    assert "default" not in fields(shell, "evolving")["b"]
    assert "retired since 3" in shell("show", "evolving")[1]
    deed = shell.database["audit"].find_one({"what": "schema retire"})
    assert deed is not None
    assert (deed["subject"], deed["path"], deed["version"]) == ("evolving", "b", 2)
    assert shell.database["database_format"].find_one({"_id": "stored_format"})["format"] == 2  # type: ignore[index]

    assert shell.json("backfill")["result"]["documents"] == 3
    assert ["b" in documents(shell)[f"e{n}"] for n in (1, 2, 3)] == [False, True, False]
    # Within ten seconds the service knows, too.
    numbers = iter(range(10, 10_000))

    def is_left_alone() -> bool:
        n = next(numbers)
        post(service, event(n, "evolving", a=1))
        return "b" not in documents(shell)[f"e{n}"]

    eventually(is_left_alone, 60)
    assert post(service, event(20_000, "evolving", a=1, b={"c": 2})) == [(200, 3)]


def test_what_is_left_of_a_retired_field_is_counted_whenever_asked(
    service: Client, shell: Shell
) -> None:
    post(service, event(1, "evolving", a=1, b=1), event(2, "evolving"), event(3, "evolving"))
    shell.database["events"].update_one({"id": "e2"}, {"$set": {"b": "by hand"}})
    told = shell.json("retire", "evolving", "b")
    assert (told["documents"], told["left"]) == (1, 1)

    status, out, _ = shell("backfill")
    again = shell.json("retire", "evolving", "b")

    assert (status, "1 keep values of retired fields" in out) == (0, True)
    assert (again["new"], again["version"], again["changes"]) == (False, 2, [])
    assert (again["documents"], again["left"]) == (0, 1)
    assert "is so already" in shell("retire", "evolving", "b")[1]


@pytest.mark.slow
def test_a_map_is_undone_and_the_service_never_makes_it_one_again(
    service: Client, shell: Shell
) -> None:
    post(service, event(1, "evolving", m={"x": 1}), event(2, "evolving", m={"y": 1}))
    post(service, event(3, "evolving", m={f"k{n}": n for n in range(600)}))
    assert "m.*" in fields(shell, "evolving")

    dry = shell.json("unmap", "evolving", "m", "--dry-run")
    told = shell.json("unmap", "evolving", "m.*")

    assert (dry["applied"], told["applied"]) == (False, True)
    assert dry["fields"] == told["fields"] == ["m.x", "m.y"]
    assert [(c["class"], c["text"]) for c in told["changes"]] == [("map_undone", "m")]
    assert "pinned as an object" in shell("show", "evolving")[1]
    numbers = iter(range(10, 10_000))

    def live() -> set[str]:
        # Within ten seconds the service knows, too.
        post(service, event(next(numbers), "evolving", m=dict.fromkeys(IDS, 1)))
        found = fields(shell, "evolving")
        return {text for text, each in found.items() if "absorbed" not in each}

    eventually(lambda: {f"m.{key}" for key in IDS} | {"m.x", "m.y"} <= live(), 60)
    assert "m.*" not in live()
    shell("backfill")
    assert documents(shell)["e3"]["m"]["x"] is None
    assert documents(shell)["e1"]["m"]["x"] == 1
    assert shell.json("unmap", "evolving", "m")["new"] is False


def test_decisions_that_cannot_be_are_told_in_one_sentence(service: Client, shell: Shell) -> None:
    post(service, event(1, agent={"name": "x"}))

    for arguments, says in (
        (("retire", "contact.created", "agent.nam"), "did you mean agent.name"),
        (("retire", "contact.create", "agent"), 'did you mean "contact.created"'),
        (("retire", "contact.created", "a b..c"), "is not a path"),
        (("unmap", "contact.created", "agent"), "is not a map"),
    ):
        status, _, err = shell(*arguments)
        assert status in (1, 2)
        assert says in " ".join(err.split())
    assert shell.json("list")["subjects"][0]["version"] == 1


def test_a_process_that_does_not_know_retired_fields_keeps_them_from_being_made(
    service: Client, shell: Shell
) -> None:
    post(service, event(1, a=1))
    now = utc_now()
    shell.database["instances"].insert_one(
        {"_id": "old one", "version": "0.1", "host": "h", "pid": 1, "facts": {}}
        | {"started_at": now, "last_seen": now}
    )

    status, _, err = shell("retire", "contact.created", "a")

    assert (status, "old one" in err) == (1, True)
    assert shell.json("list")["subjects"][0]["version"] == 1
    assert shell("retire", "contact.created", "a", "--dry-run")[0] == 0


@pytest.mark.slow
def test_lost_versions_are_named_everywhere_and_gone_behind(
    mongod_uri: str, database: Database[Document], shell: Shell
) -> None:
    with running_service(mongod_uri, database.name) as service:
        post(service, *(event(n, "evolving", **{f"f{n}": n}) for n in range(4)))
    shell("backfill")
    # A backup of the versions is restored beside newer events.
    database["schema_versions"].delete_many({"_id.version": {"$gt": 2}})

    with running_service(mongod_uri, database.name) as service:
        eventually(lambda: not service.get("/readyz").json["schemas"]["ok"], 60)
        ready = service.get("/readyz")
        assert post(service, event(10, "evolving", new=1)) == [(200, 2)]
        stored = documents(shell)["e10"]
        assert (stored["new"], stored["_meta"]["untracked"]) == (1, 1)
        named = 'schema "evolving" ends with version 2, but documents know version 4'
        assert ready.status == 200
        assert named in ready.json["schemas"]["detail"]
        settings = settings_of(mongodb_uri=mongod_uri, mongodb_database=database.name)
        with MongoClient[Document](mongod_uri) as client:
            found = list(schemas.examine(target(settings=settings, client=client)))
        assert [named in check.finding for check in found if check.status == "fail"] == [True]
        assert "schema renumber evolving" in found[0].advice

        assert shell.json("renumber", "evolving", "--dry-run") == {
            "subject": "evolving", "head": 2, "seen": 4, "version": None,
        }  # fmt: skip
        assert "renumber" in shell("retire", "evolving", "f0")[2]
        assert shell.json("renumber", "evolving")["version"] == 5
        eventually(lambda: service.get("/readyz").json["schemas"]["ok"], 60)
        assert post(service, event(11, "evolving", new=1)) == [(200, 6)]

    numbers = [each["_id"]["version"] for each in database["schema_versions"].find().sort("_id")]
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert shell.json("renumber", "evolving") == {
        "subject": "evolving", "head": None, "seen": None, "version": None,
    }  # fmt: skip


def test_what_newer_programs_wrote_into_versions_is_shown_and_ends_in_no_traceback(
    mongod_uri: str, database: Database[Document], shell: Shell
) -> None:
    with visiting(mongod_uri, database.name) as visitor:
        visitor.post_webhook(b'{"id": "1", "type": "evolving", "a": 1}')
        visitor.post_webhook(b'{"id": "2", "type": "evolving", "b": {"c": 1}}')
        added = {"class": "alias_added", "path": ["a"], "alias": ["x"], "caused_by": ""}
        odd = {"class": "field_split", "path": ["b"], "from": ["decimal"], "to": ["ulid"]}
        newest = {"_id.version": 2}
        database["schema_versions"].update_one(
            newest, {"$push": {"changes": {"$each": [added, odd]}}}
        )
        database["schema_versions"].update_one(
            newest, {"$set": {"fields.2.alias": ["x"], "fields.2.types.decimal": 2}}
        )

    with visiting(mongod_uri, database.name) as visitor:
        # A new version is built on it, and keeps what it does not know.
        visitor.post_webhook(b'{"id": "3", "type": "evolving", "a": "text"}')
        visitor.log_in()
        for path in ("", "/schemas", *(f"/schemas/subject?name=evolving&tab={tab}&from=0"
                                        for tab in ("fields", "versions", "compare"))):  # fmt: skip
            assert visitor.get(path).status == 200
        page = visitor.get("/schemas/subject?name=evolving&tab=versions").body.decode()
        assert "field_split" in page
        assert "alias set" in page

    newest_now = database["schema_versions"].find_one({"_id.version": 3})
    assert newest_now is not None
    assert newest_now["fields"][2]["alias"] == ["x"]
    assert newest_now["fields"][2]["types"] == {"integer": 1, "decimal": 2, "string": 3}
    for command in (
        "list",
        "show evolving",
        "diff evolving 0..3",
        "diff evolving 1..3 --net",
        "export evolving --format jsonschema",
        "export evolving --format mongodb",
        "retire evolving b",
        "backfill",
    ):
        status, out, err = shell(*command.split())
        assert (status, "Traceback" in out + err) == (0, False), err
    assert "field_split" in shell("diff", "evolving", "0..3")[1]
    last = database["schema_versions"].find_one({"_id.version": 4})
    assert last is not None
    assert last["fields"][2]["alias"] == ["x"]
