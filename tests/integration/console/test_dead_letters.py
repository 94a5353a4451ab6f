"""Deeds on dead letters over real HTTP: what is refused, and that nothing happens then."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from consumer.dead_letters.bulk import BulkRun
from consumer.dead_letters.search import DeadLetterFilter
from tests.integration.console.test_console import Visitor, visiting
from tests.support.service import dead_letters, eventually

Db = Database[dict[str, Any]]


_SWEPT = {"job": "sweep_dead_letters", "outcome": "succeeded"}


@pytest.fixture
def visitor(mongod_uri: str, database: Db) -> Iterator[Visitor]:
    with visiting(mongod_uri, database.name) as found:
        # The first sweep would try the entry just when a person wants to discard it.
        eventually(lambda: database["job_runs"].count_documents(_SWEPT))
        found.post_webhook(b'{"type":"t"}')
        found.log_in()
        yield found


def test_a_run_that_we_did_not_begin_is_refused(visitor: Visitor, database: Db) -> None:
    run = BulkRun("discard", DeadLetterFilter(), 1, "nobody wrote this down").dump()

    answer = visitor.post(
        "/dead-letters/bulk", {"csrf": visitor.csrf(), "run": run, "seal": "0" * 64}
    )

    assert answer.status == 400
    assert b"none of this session" in answer.body
    assert dead_letters(database)[0]["status"] == "pending_inspection"


def test_a_run_of_an_older_program_goes_on() -> None:
    run = BulkRun("discard", DeadLetterFilter(), 3, "a flood", after="a", busy=1)
    older = {name: value for name, value in json.loads(run.dump()).items() if name != "and_copies"}

    assert BulkRun.load(json.dumps(older)) == run


def test_more_than_was_shown_is_not_discarded(visitor: Visitor, database: Db) -> None:
    fields = {"csrf": visitor.csrf(), "what": "discard", "because": "x", "upto": "9" * 13}

    assert visitor.post("/dead-letters/bulk", {**fields, "total": "0"}).status == 400
    assert dead_letters(database)[0]["status"] == "pending_inspection"
    assert visitor.post("/dead-letters/bulk", {**fields, "total": "1"}).status == 303
    assert dead_letters(database)[0]["status"] == "discarded"


@pytest.mark.parametrize("where", ["/dead-letters/bulk", "/dead-letters/one?id="])
@pytest.mark.parametrize(
    ("ticked", "status"), [({"and_copies": "on"}, "discarded"), ({}, "pending_inspection")]
)
def test_copies_are_discarded_too_where_that_was_ticked(
    visitor: Visitor, database: Db, where: str, ticked: dict[str, str], status: str
) -> None:
    entry = dead_letters(database)[0]
    where += entry["_id"] if where.endswith("=") else ""
    fields = {"csrf": visitor.csrf(), "what": "discard", "because": "x", "upto": "9" * 13}

    assert visitor.post(where, {**fields, "total": "1", **ticked}).status == 303
    visitor.post_webhook(b'{"type":"t"}')

    assert (dead_letters(database)[0]["status"], dead_letters(database)[0]["seen"]) == (status, 2)
    deed = database["audit"].find_one({"what": "dlq discard"})
    assert deed is not None
    assert deed["and_copies"] is bool(ticked)


def test_a_deed_without_a_reason_or_a_name_is_refused(visitor: Visitor, database: Db) -> None:
    _id, csrf = dead_letters(database)[0]["_id"], visitor.csrf()

    for form in ({"what": "discard", "because": "  "}, {"what": "drop"}, {"because": "x"}):
        answer = visitor.post(f"/dead-letters/one?id={_id}", {"csrf": csrf, **form})
        assert answer.status == 400

    assert dead_letters(database)[0]["status"] == "pending_inspection"
    assert database["audit"].count_documents({"what": {"$ne": "console login"}}) == 0


def test_what_was_discarded_can_be_retried_and_what_was_resolved_cannot(
    visitor: Visitor, database: Db
) -> None:
    _id = dead_letters(database)[0]["_id"]
    where, csrf = f"/dead-letters/one?id={_id}", visitor.csrf()
    visitor.post(where, {"csrf": csrf, "what": "discard", "because": "a test"})
    database["dead_letter_queue"].update_one(
        {}, {"$set": {"original_payload": b'{"id":"1","type":"t"}'}}
    )

    visitor.post(where, {"csrf": csrf, "what": "retry"})

    assert dead_letters(database)[0]["status"] == "resolved"
    assert b"Edit and retry" not in visitor.get(where).body
    assert visitor.post(f"/dead-letters/edit?id={_id}", {"csrf": csrf}).status == 400


_ODD = (
    "/events?from=yesterday",
    "/events?version=-1&at=99999999999999&past=99999999999",
    "/events?id=%00%ff&type=%ed%a0%80",
    "/dead-letters?status=any&at=x&to=2026-01-01T00:00%2B25:00",
    "/dead-letters/bulk?what=retry&status=resolved",
    "/dead-letters?reason=%24ne&type=%00",
    "/events/one?id=%00",
    "/dead-letters/one?id=nothing&view=nothing",
    "/dead-letters/edit?id=",
)


def test_odd_addresses_are_answered_without_a_fault(visitor: Visitor) -> None:
    statuses = {path: visitor.get(path).status for path in _ODD}

    assert set(statuses.values()) <= {200, 400, 404}, statuses


def test_a_run_goes_on_with_the_entries_of_its_source_alone() -> None:
    run = BulkRun("discard", DeadLetterFilter(source="voice"), 1, "because")

    assert BulkRun.load(run.dump()).wanted.query() == {"source": "voice"}


def test_letters_of_one_cause_are_a_row_and_those_ticked_are_ended(
    visitor: Visitor, database: Db
) -> None:
    for number in range(3):
        visitor.post_webhook(b'{"id":"b%d","type":' % number)
    visitor.post_webhook(b'{"type":"u"}')
    eventually(lambda: database["dead_letter_queue"].count_documents({}) == 5)
    page = visitor.get("/dead-letters").body.decode()
    ticks = re.findall(r'name="(cause|ids)" value="([^"]+)"', page)
    (of_json,) = re.findall(r'value="([^"]+)" aria-label="Tick 3 of malformed_json', page)
    form = {"csrf": visitor.csrf(), "what": "discard"}
    # Another comes while the page is looked at: it is of the cause, and counted before it is done.
    visitor.post_webhook(b'{"id":"b9","type":')

    asked = visitor.post("/dead-letters/bulk", {**form, "cause": of_json})
    again = dict(re.findall(r'name="(\w+)" value="([^"]+)"', asked.body.decode()))
    done = visitor.post("/dead-letters/bulk", {**again, "because": "a test"})
    too_many = visitor.post("/dead-letters/bulk", {**form, "ids": " ".join(map(str, range(5001)))})
    gone = visitor.post("/dead-letters/bulk", {**form, "cause": of_json})

    assert len(ticks) == 2
    assert "Discard 4 dead letters" in asked.body.decode()
    assert done.status == 303
    ended = [letter["_id"] for letter in dead_letters(database) if letter["status"] == "discarded"]
    of_reason = database["dead_letter_queue"].find({"reason": "malformed_json"})
    assert sorted(ended) == sorted(letter["_id"] for letter in of_reason)
    deed = database["audit"].find_one({"what": "dlq discard"})
    assert deed is not None
    assert sorted(deed["entries"]) == sorted(ended)
    assert (too_many.status, gone.status) == (400, 400)


def test_a_cause_is_one_row_however_many_letters_it_has(visitor: Visitor, database: Db) -> None:
    (model,) = dead_letters(database)
    copies = [
        {**model, "_id": f"{number:024x}", "error_message": f"refused at {number}"}
        | {"last_seen": model["last_seen"] + timedelta(milliseconds=number)}
        for number in range(5050)
    ]
    database["dead_letter_queue"].insert_many(copies)

    page = visitor.get("/dead-letters").body.decode()
    (key,) = re.findall(r'name="cause" value="([^"]+)"', page)
    of_cause = visitor.get(f"/dead-letters?cause={key}").body.decode()
    (older,) = re.findall(r'href="([^"]+)">Those seen before', of_cause)
    further = visitor.get(html.unescape(older).removeprefix("/console")).body.decode()

    listed = [re.findall(r"one\?id=(\w{24})", each) for each in (page, of_cause, further)]
    assert "5,000 last seen are grouped" in page
    assert "refused at 5049" in page
    assert [len(each) for each in listed] == [20, 200, 200]
    assert listed[1] == [f"{number:024x}" for number in range(5049, 4849, -1)]
    # The last one of a page may come again: others may have been seen at that very time.
    assert listed[2] == [f"{number:024x}" for number in range(4850, 4650, -1)]


def test_the_fault_is_marked_and_letters_are_readable(visitor: Visitor, database: Db) -> None:
    visitor.post_webhook(rb'{"id":"1","type":"t","note":"J\u00fcrgen" "n":1}')
    eventually(lambda: database["dead_letter_queue"].count_documents({}) == 2)
    letter = database["dead_letter_queue"].find_one({"reason": "malformed_json"})
    assert letter is not None

    shown = visitor.get(f"/dead-letters/one?id={letter['_id']}&view=raw").body.decode()
    edit = visitor.get(f"/dead-letters/edit?id={letter['_id']}").body.decode()

    assert "<mark>&#34;</mark>n&#34;:1}" in shown
    assert "<mark>&#34;</mark>n&#34;:1}" in edit
    assert "&#34;note&#34;:&#34;Jürgen&#34; &#34;n&#34;:1}" in edit


def test_what_cannot_be_read_is_edited_with_masks_and_nothing_comes_to_light(
    mongod_uri: str, database: Db
) -> None:
    with visiting(mongod_uri, database.name, cxone_redact="customer.email") as visitor:
        visitor.post_webhook(
            b'{"id":"1","customer":{"email":"kim@example.com"},"n":1 "type":"t","note":"secret"}'
        )
        eventually(lambda: database["dead_letter_queue"].count_documents({}) == 1)
        visitor.log_in()
        where = f"/dead-letters/edit?id={dead_letters(database)[0]['_id']}"
        pages = [visitor.get(where).body.decode()]

        def show(body: str) -> str:
            form = {"csrf": visitor.csrf(), "what": "show", "body": body}
            pages.append(visitor.post(where, form).body.decode())
            return pages[-1]

        refused = show('{"id":"1","type":"t","note":"[masked 2]"}')
        shown = show('{"id":"1","customer":{"email":"[masked 2]"},"n":1,"type":"t"}')
        (confirmed,) = re.findall(r'name="confirmed" value="([^"]+)"', shown)
        form = {"csrf": visitor.csrf(), "what": "retry", "confirmed": confirmed}
        done = visitor.post(where, form)

    assert "may only stand where it is masked" in refused
    assert not re.findall("kim@|example.com|secret", "".join(pages))
    assert done.status == 303
    event = database["events"].find_one({"_meta.key": "1"})
    assert event is not None
    assert event["customer"] == {"email": "kim@example.com"}
    assert database["audit"].count_documents({"what": "dlq edit"}) == 1
