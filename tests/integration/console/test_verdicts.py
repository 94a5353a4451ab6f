"""The console shows the readers of a subject, and which version broke them, in what."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.monitoring.audit import Audit
from consumer.readers.pins import Pin, Pins
from consumer.schemas.manual_changes import alias, alias_value, unalias
from tests.integration.console.test_console import Visitor, visiting
from tests.support.backfill import registry

Db = Database[dict[str, Any]]


def pin(database: Db, reader: str, *uses: str) -> None:
    pins = Pins(database["readers"])
    paths = tuple((name,) for name in uses)
    pins.put(Pin(pins.view_name(reader, "t"), reader, "t", 1, utc_now(), "Ada", paths))


def page(visitor: Visitor, path: str) -> str:
    answer = visitor.get(path)
    assert answer.status == 200
    text = re.sub(r"<(?!/?a\b)[^>]*>", " ", answer.body.decode())
    return " ".join(text.split())


def send(visitor: Visitor, number: int, **fields: Any) -> None:
    body = {"id": f"0770090012{number}", "type": "t", **fields}
    assert visitor.post_webhook(json.dumps(body).encode()).status == 200


@pytest.fixture
def first_event(database: Db, mongod_uri: str) -> Any:
    return lambda key: database["events"].find_one({"_meta.key": key})["_id"]  # type: ignore[index]


def test_readers_and_what_broke_them_are_shown(
    database: Db, mongod_uri: str, first_event: Any
) -> None:
    with visiting(mongod_uri, database.name, cxone_redact="who") as visitor:
        visitor.log_in()
        send(visitor, 1, wait=1, who={"ann@example.com": 1})
        alone = page(visitor, "/schemas/subject?name=t&tab=readers")
        pin(database, "billing")
        pin(database, "crm", "id")
        send(visitor, 2, wait="long", who={"ann@example.com": "x"})
        send(visitor, 3, wait="long", more=1)
        readers = page(visitor, "/schemas/subject?name=t&tab=readers")
        versions = page(visitor, "/schemas/subject?name=t&tab=versions")
        compared = page(visitor, "/schemas/subject?name=t&tab=compare&from=0&to=3")
        unbroken = page(visitor, "/schemas/subject?name=t&tab=compare&from=2&to=3")
    # Counts of all subjects are as of two seconds ago.
    with visiting(mongod_uri, database.name) as visitor:
        visitor.log_in()
        subjects = page(visitor, "/schemas?sort=broken")

    assert "Nobody is pinned to a version of it." in alone
    address = f'<a href="/console/events/one?id={first_event("07700900122")}">'
    for shown in (readers, compared):
        row = shown[shown.index("billing v1 wait type conflict") :]
        assert "integer integer | string v2" in row
        assert address in row
    assert re.search(r"billing 1 all fields .{,40} in 2 fields", readers)
    assert re.search(r"crm 1 1 of the fields .{,40} no", readers)
    assert "breaks billing" in versions
    assert versions.count("breaks ") == 1
    assert "billing" not in unbroken
    assert "1 broken" in subjects
    assert "ann@example.com" not in readers + versions + compared


def test_held_changes_name_the_readers_that_an_approval_would_break(
    database: Db, mongod_uri: str
) -> None:
    with visiting(mongod_uri, database.name, cxone_on_reader_break="hold") as visitor:
        visitor.log_in()
        send(visitor, 1, wait=1)
        pin(database, "billing")
        body = {"id": "2", "type": "t", "wait": "long"}
        assert visitor.post_webhook(json.dumps(body).encode()).status == 202
        held = page(visitor, "/schemas/held?name=t")
        letter = database["dead_letter_queue"].find_one()
        one = page(visitor, f"/dead-letters/one?id={letter['_id']}") if letter else ""

    assert "billing v1 wait" in held
    assert "holds 1 change(s) that break billing" in one


def test_a_pin_that_is_broken_already_is_made_by_a_tick_alone(
    database: Db, mongod_uri: str
) -> None:
    with visiting(mongod_uri, database.name) as visitor:
        visitor.log_in()
        send(visitor, 1, wait=1)
        send(visitor, 2, wait="long")
        form = {"csrf": visitor.csrf(), "name": "t", "version": "1"}
        refused = visitor.post("/readers", {**form, "reader": "billing"})
        other = visitor.post("/readers", {**form, "reader": "crm", "uses": "id"})
        made = visitor.post("/readers", {**form, "reader": "etl", "broken": "on"})

    assert refused.status == 400
    assert "it is broken already: wait." in refused.body.decode()
    assert (other.status, made.status) == (303, 303)
    assert [each.reader for each in Pins(database["readers"]).all()] == ["crm", "etl"]
    assert database["audit"].count_documents({"what": "schema pin"}) == 2


def test_what_is_no_version_pins_nobody_to_the_newest(database: Db, mongod_uri: str) -> None:
    with visiting(mongod_uri, database.name) as visitor:
        visitor.log_in()
        send(visitor, 1, wait=1)
        form = {"csrf": visitor.csrf(), "name": "t", "reader": "billing"}
        wrong = ("x", "1.5", "-1", "9" * 20)
        refused = {each: visitor.post("/readers", {**form, "version": each}) for each in wrong}
        made = visitor.post("/readers", {**form, "version": " "})

    for version, answer in refused.items():
        assert answer.status == 400
        assert f"no version {version}" in answer.body.decode()
    assert made.status == 303
    assert database["audit"].count_documents({"what": "schema pin"}) == 1


def test_aliases_are_shown_with_their_fields(database: Db, mongod_uri: str) -> None:
    schemas, audit = registry(database), Audit(database["audit"])
    with visiting(mongod_uri, database.name, cxone_redact="mail") as visitor:
        visitor.log_in()
        send(visitor, 1, case="x", mail="ann@example.com", lang="de")
        without = page(visitor, "/schemas/subject?name=t")
        audit.record("ada", "schema alias", utc_now(), {"subject": "t", "path": "case"})
        schemas.change("t", lambda head, now: alias(head, ("case",), ("contact", "id"), now))
        schemas.change("t", lambda head, now: alias_value(head, ("lang",), "en", now))
        schemas.change("t", lambda head, now: alias_value(head, ("mail",), "bob@x.example", now))
        ended = page(visitor, "/schemas/subject?name=t")
        schemas.change("t", lambda head, now: unalias(head, ("lang",), now))
        shown = page(visitor, "/schemas/subject?name=t")

    assert "Filled from" not in without
    assert "lang the value &#34;en&#34; v3" in ended
    assert re.search(r"case contact\.id v2 .{1,40} ada", shown)
    assert "bob@" not in shown
    assert "lang the value" not in shown
