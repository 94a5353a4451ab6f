"""Signals in the browser: shown, acknowledged and muted, written down before it is done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.mongodb.client import open_database
from consumer.signals.signals import Signal
from consumer.signals.store import Signals
from tests.integration.console.test_console import Visitor, visiting
from tests.support.service import eventually
from tests.support.signals import GONE, RENAMED

Db = Database[dict[str, Any]]
SUBJECT = "/schemas/subject?name=t"


def keep(database: Db) -> Signals:
    signals = Signals(open_database(database.client, database.name))
    now = utc_now()
    renamed = Signal(
        "renamed", ("case",), ("contact",), now, 0.9, RENAMED, subject="t", last_seen=now
    )
    never = {**GONE, "longest_gap_hours": 0}
    gone = Signal("vanished", ("<b>",), None, now, 1.0, never, subject="other", last_seen=now)
    signals.save([(renamed, True), (gone, True)])
    return signals


@pytest.fixture
def visitor(mongod_uri: str, database: Db) -> Iterator[Visitor]:
    with visiting(mongod_uri, database.name, cxone_redact="case") as found:
        found.post_webhook(b'{"id":"1","type":"t","case":1,"contact":1}')
        found.log_in()
        yield found


def test_signals_are_shown_and_decided_by_hand(visitor: Visitor, database: Db) -> None:
    signals = keep(database)
    page = visitor.get("/signals").body.decode()
    one = visitor.get("/signals?name=t").body.decode()
    (wanted,) = re.findall(r'name="id" value="(\w+)"', one)
    form = {"csrf": visitor.csrf(), "name": "t", "id": wanted}

    muted = visitor.post("/signals", {**form, "state": "muted"})
    after = visitor.get("/signals?name=t").body.decode()
    visitor.post("/signals", {**form, "state": "open"})

    assert "cxone-consumer schema alias t case contact" in page
    assert "CXONE_REDACT hides case, but not contact: name that too" in page
    assert "&lt;b&gt;" in page
    assert "not sent for 8 d, it never paused before: 1,840 events" in page
    assert "&lt;b&gt;" not in one
    assert muted.status == 303
    assert "No signals" in after
    assert [each.state for each in signals.of()] == ["open", "open"]
    found = database["audit"].find({"what": {"$regex": "signals"}}).sort("at")
    deeds = [each["what"] for each in found]
    assert deeds == ["schema signals muted", "schema signals open"]


@pytest.mark.parametrize("change", [{"state": "nothing"}, {"csrf": "0" * 64}])
def test_other_decisions_are_refused(
    visitor: Visitor, database: Db, change: dict[str, str]
) -> None:
    signals = keep(database)
    form = {"csrf": visitor.csrf(), "name": "t", "id": "x", "state": "muted", **change}

    assert visitor.post("/signals", form).status in (400, 403)
    assert [each.state for each in signals.of()] == ["open", "open"]


def test_the_fields_of_a_schema_say_how_often_they_are_sent(visitor: Visitor) -> None:
    pages = [
        visitor.get(f"/schemas/subject?name=t{days}").body.decode()
        for days in ("", "&days=90", "&days=5")
    ]

    assert "no events of the last 7 days: they are looked at five minutes" in pages[0]
    assert "the last 90 days" in pages[1]
    assert "the last 7 days" in pages[2]
    # Each time, up to 90 documents are read.
    assert ['data-live="60"' in page for page in pages] == [False, True, False]


def test_the_page_of_an_event_type_brings_together_what_is_known_of_it(
    visitor: Visitor, database: Db
) -> None:
    keep(database)
    visitor.post_webhook(b'{"id":"2","type":"other","<b>":1}')
    letter = {"blocked_by": "contract_hold", "status": "held", "event_type": "t"}
    database["dead_letter_queue"].insert_many([{**letter, "_id": f"l{n}"} for n in range(3)])
    database["dead_letter_queue"].insert_one({**letter, "_id": "l9", "event_type": "other"})
    pin = {
        "csrf": visitor.csrf(),
        "do": "pin",
        "reader": "billing",
        "name": "t",
        "version": "1",
        "broken": "on",
    }
    visitor.post("/readers", pin)
    eventually(lambda: ">broken</span> billing" in visitor.get(SUBJECT).body.decode())

    page = visitor.get(SUBJECT).body.decode()
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())

    assert re.search(r"Events in 24h 1 ", text)
    assert "Events an hour, by version" in text
    assert re.search(r"version 1 1 100.0.% 1 100.0.%", text)
    assert "Readers broken billing" in text
    assert "Signals 1 fields vanished or renamed" in text
    assert "Dead letters 3 wait" in text
    assert "3 contract_hold" in text
    assert "/console/dead-letters?type=t" in page
    assert "case" in text.partition("Fields Fields")[2]
    assert "Events in 24h" not in visitor.get("/schemas/subject?name=t&tab=versions").body.decode()
