"""Events in the browser: found by beginnings and values, and the way of one in time."""

from __future__ import annotations

import json
import re
from typing import Any

from pymongo.database import Database

from tests.integration.console.test_console import Visitor, visiting
from tests.support.service import Answer, eventually

Db = Database[dict[str, Any]]


def found(text: str) -> list[str]:
    """The ids that a page of events shows."""
    return re.findall(r'events/one\?id=[^"]*"><code>([^<]*)</code>', text)


def post(visitor: Visitor, database: Db, **event: Any) -> None:
    """Post an event, and wait until it is stored: on a busy machine it may be spooled first."""
    visitor.post_webhook(json.dumps(event).encode())
    eventually(lambda: database["events"].find_one({"_meta.key": event["id"]}))


def page(visitor: Visitor, path: str) -> str:
    """A page, as soon as MongoDB answers in its time."""
    answers: list[Answer] = []

    def is_there() -> bool:
        answers.append(visitor.get(path))
        return answers[-1].status == 200

    eventually(is_there)
    return answers[-1].body.decode()


def test_events_are_found_by_a_type_of_the_list_a_beginning_and_a_value(
    mongod_uri: str, database: Db
) -> None:
    with visiting(mongod_uri, database.name) as visitor:
        post(visitor, database, id="evt-1", type="contact.created", customer={"tier": "gold"})
        post(visitor, database, id="evt-2", type="contact.ended", customer={"tier": "tin"}, n=7)
        post(visitor, database, id="other", type="agent", tags=["gold"])
        visitor.log_in()
        pages = {
            query: page(visitor, f"/events?{query}")
            for query in (
                "", "id=evt-", "type=contact.", "type=contact.ended", "type=ag",
                "where=customer.tier%3Dgold", "type=contact.&where=n%3D7", "where=tags%3Dgold",
                "where=customer%3D", "id=evt-2&where=customer.tier%3Dgold",
            )
        }  # fmt: skip
        wrong = visitor.get("/events?where=nonsense")

    assert {query: found(text) for query, text in pages.items()} == {
        "": ["other", "evt-2", "evt-1"],
        "id=evt-": ["evt-2", "evt-1"],
        "type=contact.": ["evt-2", "evt-1"],
        "type=contact.ended": ["evt-2"],
        "type=ag": ["other"],
        "where=customer.tier%3Dgold": ["evt-1"],
        "type=contact.&where=n%3D7": ["evt-2"],
        "where=tags%3Dgold": ["other"],
        "where=customer%3D": [],
        "id=evt-2&where=customer.tier%3Dgold": [],
    }
    assert (
        '<datalist id="types"><option value="agent"><option value="contact.created">' in pages[""]
    )
    assert "Of 2 types that begin so." in pages["type=contact."]
    assert wrong.status == 400
    assert "a condition is FIELD=VALUE" in wrong.body.decode()


def test_what_is_hidden_is_no_way_to_find_an_event(mongod_uri: str, database: Db) -> None:
    rules = "id,customer.email,mails[],/people/0/name"
    with visiting(mongod_uri, database.name, cxone_redact=rules) as visitor:
        mail = {"email": "kim@example.com"}
        post(
            visitor,
            database,
            id="Kim Doe",
            type="t",
            customer=mail,
            mails=["a"],
            people=[{"name": "Kim"}],
        )
        post(
            visitor, database, id="Lu", type="t", note=json.dumps({"email": "x", "customer": mail})
        )
        visitor.log_in()
        refused = [
            visitor.get(f"/events?{query}")
            for query in (
                "where=customer.email%3Dkim@example.com", "where=/customer/email%3Dx",
                "where=mails%3Da", "where=people.name%3DKim", "where=id%3DLu",
                "where=id%3DLu&type=t",
            )
        ]  # fmt: skip
        begun = found(page(visitor, "/events?id=Kim"))
        whole = found(page(visitor, "/events?id=Kim+Doe"))
        text = json.dumps({"email": "x", "customer": mail})
        inside = page(visitor, "/events?where=note%3D" + json.dumps(text).replace(" ", "+"))

    assert [answer.status for answer in refused] == [400] * 6
    assert all(b"is masked (CXONE_REDACT)" in answer.body for answer in refused)
    assert (begun, whole) == ([], ["********"])
    # What is hidden in a text is not there for whoever looks for the text.
    assert found(inside) == []


def test_an_event_shows_its_way_from_the_dead_letter_on(mongod_uri: str, database: Db) -> None:
    with visiting(mongod_uri, database.name) as visitor:
        post(visitor, database, id="1", type="t", a=1)
        visitor.post_webhook(b'{"type":"t","a":1}')
        eventually(lambda: database["dead_letter_queue"].find_one({}))
        letter = database["dead_letter_queue"].find_one({})
        assert letter is not None
        visitor.log_in()
        where = f"/dead-letters/edit?id={letter['_id']}"
        form = {"csrf": visitor.csrf(), "body": '{"id":"2","type":"t","a":1}', "what": "show"}
        shown = visitor.post(where, form).body.decode()
        (confirmed,) = re.findall(r'name="confirmed" value="([^"]+)"', shown)
        again = {"csrf": visitor.csrf(), "confirmed": confirmed, "what": "retry"}
        visitor.post(where, again)
        event = database["events"].find_one({"_meta.key": "2"})
        assert event is not None
        shown = page(visitor, f"/events/one?id={event['_id']}")

    (way,) = re.findall(r"Its way in time(.*?)</ol>", shown, re.DOTALL)
    steps = [re.sub(r"<[^>]+>", "", step).split(" 20")[0] for step in way.split("</li>")[:-1]]
    # The sweep may have tried it too, before the person did.
    by_hand = [step.strip() for step in steps if "Tried by sweep" not in step]
    assert by_hand == [
        "Received",
        "Dead letter: missing_fields",
        "Tried by Ada (console) (dlq edit): processed",
        "Stored as version 1",
    ]
    assert f"/console/dead-letters/one?id={letter['_id']}" in way
    assert "/console/schemas/subject?name=t&amp;tab=fields&amp;version=1" in way
