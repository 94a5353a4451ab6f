"""Whatever is sent to the console ends in a page or in a 4xx, and what pages show is bounded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import structlog
from pymongo.database import Database

from consumer.console.routes import SCREENS
from tests.integration.console.test_console import PASSWORD, Visitor
from tests.support.service import Client, dead_letters, eventually, running_service

Db = Database[dict[str, Any]]
# What each screen reads of its address, and with which of it the others are read.
QUERIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("", ("span",)),
    "/schemas": ("", ("q", "sort", "page")),
    "/schemas/subject": ("name=t", ("name", "tab", "version", "upto", "from", "to", "days")),
    "/schemas/held": ("name=t", ("name", "path", "changes", "at")),
    "/schemas/export": ("name=t", ("name", "version", "format")),
    "/readers": ("", ("name", "page")),
    "/signals": ("name=t", ("name", "all")),
    "/adoption": ("name=t", ("name", "span", "page")),
    "/events": ("", ("id", "type", "version", "from", "to", "at", "past", "page")),
    "/events/one": ("", ("id",)),
    "/dead-letters": ("", ("reason", "status", "type", "from", "to", "at", "past", "page")),
    "/dead-letters/one": ("id=LETTER", ("id", "view")),
    "/dead-letters/edit": ("id=LETTER", ("id",)),
    "/dead-letters/bulk": ("what=retry", ("what", "reason", "status", "type", "from", "to")),
    "/jobs": ("", ("series", "page", "at", "past")),
    "/settings": ("", ("q",)),
    "/audit": ("", ("page",)),
    "/login": ("", ("next",)),
    "/static/console.css": ("", ("v",)),
}
FORMS: dict[str, tuple[str, ...]] = {
    "/schemas/held?name=t": ("name", "path", "at", "changes", "what"),
    "/readers": ("name", "reader", "version", "uses", "mismatch", "redact", "broken", "do"),
    "/signals": ("name", "id", "state", "back"),
    "/dead-letters/one?id=LETTER": ("what", "because", "and_copies"),
    "/dead-letters/edit?id=LETTER": ("what", "body", "confirmed"),
    "/dead-letters/bulk": ("what", "run", "seal", "upto", "total", "because", "from", "to"),
    "/login": ("name", "password", "next"),
    "/logout": ("csrf",),
}
TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "9" * 30,
    "٣",
    "\0",
    "\ud7ff\uffff\U0010ffff",
    "//%5b",
    "//[",
    "http://[::1",
    "/console/\u00e9\u65e5",
    "/console//[x",
    "{",
    "[" * 1500,
    '"',
    "a..b.[]",
    "$where",
    "0001-01-01T00:00",
    "9999-12-31T23:59:59.999999",
    "0001-01-01T00:00+23:59",
    "9999-12-31T23:59-23:59",
    "1969-12-31T23:59:59Z",
    "2026-13-41T00:00",
    "99999999999999",
    "x" * 3500,
)
HEADERS = {
    "Host": ("", "[", "[::1", "a:b:c", "é", "x" * 5000),
    "Origin": ("http://[", "//%5b", "null", "", "x", "http://[::1"),
    "X-Forwarded-For": ("[", "[::1]:x", ",", "é", "1.2.3.4:99999", ":" * 2000, "," * 5000),
    "X-Forwarded-Proto": ("", "é", ",,", "x" * 5000),
    "Cookie": ("=", ";;;", "cxone_console=", "cxone_console=a.b.c", "a\tb=é", "x" * 9000),
    "Sec-Fetch-Site": ("", "é", "x" * 5000),
    "X-Console-Fragment": ("", "é", "x" * 5000),
    "Accept": ("é", "x" * 5000),
}


@pytest.fixture(scope="module")
def client(mongod_uri: str) -> Iterator[Client]:
    given = {"cxone_console_password": PASSWORD, "cxone_threads": "4"}
    with running_service(mongod_uri, "console_inputs", **given) as running:
        assert running.post({"id": "1", "type": "t", "a": {"b": [1]}}).status == 200
        assert running.post(b'{"id":"2","type":"t"').status == 400
        asking = arrived(running)
        eventually(lambda: asking.get("/dead-letters").status == 200, 60)
        yield running
        running.service.shared.client.drop_database("console_inputs")


@pytest.fixture
def visitor(client: Client) -> Visitor:
    return arrived(client)


def arrived(client: Client) -> Visitor:
    """Somebody who is logged in, from an address of their own: this is not about the throttle."""
    found = Visitor(client)
    address = f"2001:db8:{next(_NUMBERS):x}::1"
    assert found.log_in(X_Forwarded_For=address).status == 303
    return found


_NUMBERS = itertools.count(1)


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """Lines that are logged meanwhile."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def letter(client: Client) -> str:
    return str(dead_letters(client.service.shared.database)[0]["_id"])


def faults(lines: list[Any]) -> list[str]:
    return [each["event"] for each in lines if each["log_level"] == "error"]


def test_the_tables_here_name_every_screen() -> None:
    screens = {screen.path for screen in SCREENS}

    assert set(QUERIES) == screens | {"/login", "/static/console.css"}
    assert {screen.path for screen in SCREENS if screen.act} == {
        path.partition("?")[0] for path in FORMS
    } - {"/login", "/logout"}


@pytest.mark.parametrize("path", QUERIES)
def test_every_field_of_an_address_ends_in_a_page_or_a_4xx(
    visitor: Visitor, letter: str, path: str, told: list[Any]
) -> None:
    beside, names = QUERIES[path]
    found = {}
    for name in names:
        for text in (*(quote(each) for each in TEXTS), "%ff%fe", "%", "%zz"):
            query = "&".join(filter(None, (beside.replace("LETTER", letter), f"{name}={text}")))
            status = visitor.get(f"{path}?{query}").status
            if status >= 500:
                found[name, text] = status

    assert found == {}
    assert faults(told) == []


@pytest.mark.parametrize("tab", ["versions", "compare"])
def test_every_field_of_the_tabs_of_a_subject_ends_in_a_page_or_a_4xx(
    visitor: Visitor, tab: str
) -> None:
    for name in ("upto", "from", "to"):
        for text in TEXTS:
            query = urlencode({"name": "t", "tab": tab, name: text}, errors="replace")
            assert visitor.get(f"/schemas/subject?{query}").status < 500, (name, text)


@pytest.mark.parametrize("path", FORMS)
def test_every_field_of_a_form_ends_in_a_page_or_a_4xx(
    client: Client, letter: str, path: str, told: list[Any]
) -> None:
    visitor = arrived(client)
    token = visitor.csrf()
    found: dict[tuple[str, str], int] = {}
    for name in FORMS[path]:
        for text in TEXTS:
            fields = {"csrf": token, name: text}
            if name != "what":
                fields["what"] = "discard" if "bulk" in path else "edit"
            where, address = path.replace("LETTER", letter), f"2001:db8:{next(_NUMBERS):x}::1"
            status = visitor.post(where, fields, X_Forwarded_For=address).status
            if status >= 500:
                found[name, text] = status

    assert found == {}
    assert faults(told) == []


@pytest.mark.parametrize("header", HEADERS)
def test_every_header_ends_in_a_page_or_a_4xx(
    visitor: Visitor, client: Client, header: str, told: list[Any]
) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    for value in HEADERS[header]:
        sent = {"Cookie": cookies, header: value.encode().decode("latin-1")}
        for method, path in (("GET", "/events"), ("HEAD", ""), ("GET", "/login")):
            status = client.request(method, f"/console{path}", b"", sent).status
            assert status < 500, (method, path, value)
        for path in ("/login", "/logout", "/dead-letters/bulk"):
            form = {**sent, "Content-Type": "application/x-www-form-urlencoded"}
            status = client.request("POST", f"/console{path}", b"what=retry", form).status
            assert status < 500, (path, value)
    assert faults(told) == []


@pytest.mark.parametrize("body", [b"\xff", b"a=%ff", b"&" * 60_000, b"a&" * 5000, b"=" * 9000])
def test_a_form_that_is_none_is_a_4xx(visitor: Visitor, client: Client, body: bytes) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())

    for path in ("/login", "/logout", "/dead-letters/bulk"):
        answer = client.request("POST", f"/console{path}", body, {"Cookie": cookies})
        assert 400 <= answer.status < 500


@pytest.mark.parametrize("path", ["", "/events", "/login", "/static/console.css", "/nowhere"])
def test_head_says_what_get_says(visitor: Visitor, client: Client, path: str) -> None:
    cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}

    got = client.request("GET", f"/console{path}", b"", cookies)
    head = client.request("HEAD", f"/console{path}", b"", cookies)

    assert (head.status, head.body) == (got.status, b"")
    assert head.headers.get("content-type") == got.headers.get("content-type")


def test_a_page_of_events_with_huge_ids_is_small(mongod_uri: str, database: Db) -> None:
    with running_service(mongod_uri, database.name, cxone_console_password=PASSWORD) as client:
        for number in range(50):
            body = b'{"id":"%d%b","type":"t","x":1}' % (number, b"<" * 900_000)
            assert client.post(body).status == 200
        visitor = Visitor(client)
        visitor.log_in()
        events = visitor.get("/events")
        one = visitor.get(f"/events/one?id={database['events'].find_one()['_id']}")  # type: ignore[index]

    assert (events.status, one.status) == (200, 200)
    assert events.body.count(b"/console/events/one?id=") == 50
    assert len(events.body) < 300_000
    assert len(one.body) < 700_000


def test_pages_of_letters_and_schemas_with_huge_ids_keys_and_types_are_small(
    mongod_uri: str, database: Db
) -> None:
    huge = b"<" * 400_000
    bodies = [
        b'{"id":"%b","type":"%b"}' % (huge, huge),
        b'{"id":"%b","type":"t","x":1e400}' % huge,
        b'{"id":"%b","type":"t","%b":{"a":1,"b":2,"c":[1,2,3]}}' % (huge, huge),
        b'{"id":"%b","type":"t","x":[{"%b":1}]}' % (huge, huge),
    ]
    with running_service(mongod_uri, database.name, cxone_console_password=PASSWORD) as client:
        for body in bodies:
            assert client.post(body).status in (200, 202, 400)
        visitor = Visitor(client)
        visitor.log_in()
        letters = [f"/dead-letters/one?id={each['_id']}" for each in dead_letters(database)]
        events = [
            f"/events/one?id={each['_id']}" for each in database["events"].find({}, {"_id": 1})
        ]
        # A service that has just started may still be making its indexes.
        eventually(lambda: visitor.get("/dead-letters").status == 200, 60)
        steps = "/schemas/subject?name=t&tab="
        lists = ["", "/events", "/dead-letters", "/schemas", "/audit", f"{steps}versions"]
        pages = [*lists, *letters, *events, f"{steps}fields", f"{steps}compare"]
        answers = {path: visitor.get(path) for path in pages}

    assert letters
    assert events
    assert {path: each.status for path, each in answers.items() if each.status != 200} == {}
    # The body of one may be shown, cut at 64 KiB; each `<` of it takes four bytes.
    large = {path: len(each.body) for path, each in answers.items() if len(each.body) > 700_000}
    assert large == {}


def test_a_session_that_was_ended_is_none_in_any_process_also_after_a_restart(
    mongod_uri: str, database: Db
) -> None:
    given = {"cxone_console_password": PASSWORD}
    with running_service(mongod_uri, database.name, **given) as first:
        thief, owner = Visitor(first), Visitor(first)
        owner.log_in()
        thief.cookies = dict(owner.cookies)
        with running_service(mongod_uri, database.name, **given) as second:
            elsewhere = Visitor(second)
            elsewhere.cookies = dict(owner.cookies)
            assert elsewhere.get("/jobs").status == 200
            assert owner.post("/logout", {"csrf": owner.csrf()}).status == 303
            assert elsewhere.get("/jobs").status == 303
        assert thief.get("/jobs").status == 303
        again = Visitor(first)
        assert again.log_in().status == 303
        assert again.get("/jobs").status == 200
    with running_service(mongod_uri, database.name, **given) as third:
        later = Visitor(third)
        later.cookies = dict(elsewhere.cookies)
        assert later.get("/jobs").status == 303

    (kept,) = database["ended_sessions"].find()
    assert set(kept) == {"_id", "expires_at"}
    eventually(lambda: "expires_at_1" in database["ended_sessions"].index_information())
