"""The console over real HTTP: what is reachable, which headers guard it, what a deed needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlencode

import pytest
from pymongo.database import Database

from tests.support.service import Answer, Client, eventually, running_service
from tests.support.sources import SOURCES, VOICE

PASSWORD = "a password for tests"


class Visitor:
    """A browser without JavaScript: cookies and forms."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.cookies: dict[str, str] = {}
        self.headers: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        return self._keep(self._client.request("GET", f"/console{path}", b"", self._with(headers)))

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        sent = self._with({**form, **headers})
        return self._keep(
            self._client.request("POST", f"/console{path}", urlencode(fields).encode(), sent)
        )

    def log_in(self, password: str = PASSWORD, **headers: str) -> Answer:
        return self.post("/login", {"name": "Ada", "password": password}, **headers)

    def post_webhook(self, body: bytes) -> Answer:
        return self._client.post(body)

    def send(self, path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> Answer:
        return self._client.request(method, path, body, headers)

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', self.get("").body.decode())
        assert found
        return found[1]

    def _with(self, headers: dict[str, str]) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return {**self.headers, **({"Cookie": cookies} if cookies else {}), **named}

    def _keep(self, answer: Answer) -> Answer:
        cookie = answer.headers.get("set-cookie", "")
        if found := re.match(r"(\w+)=([^;]*)", cookie):
            self.cookies[found[1]] = found[2]
        return answer


@contextmanager
def visiting(uri: str, database: str, **settings: str) -> Iterator[Visitor]:
    given = {"cxone_console_password": PASSWORD, **settings}
    with running_service(uri, database, **given) as client:
        yield Visitor(client)


@pytest.fixture
def visitor(mongod_uri: str, database: Database[dict[str, object]]) -> Iterator[Visitor]:
    with visiting(mongod_uri, database.name) as found:
        yield found


def test_without_a_password_there_is_no_console(
    mongod_uri: str, database: Database[dict[str, object]]
) -> None:
    with running_service(mongod_uri, database.name) as client:
        for path in ("/console", "/console/login", "/console/static/console.css"):
            assert client.get(path).status == 404
        assert client.get("/").status == 404
        assert client.request("POST", "/console/login", b"password=", {}).status == 404


def test_nothing_is_shown_to_who_is_not_logged_in(visitor: Visitor) -> None:
    for path in ("", "/jobs", "/settings", "/audit"):
        answer = visitor.get(path)
        assert answer.status == 303
        assert answer.headers["location"].startswith("/console/login?next=%2Fconsole")
        assert answer.body == b""
    assert visitor.get("/jobs", X_Console_Fragment="1").status == 401


def test_every_answer_forbids_what_a_console_never_needs(visitor: Visitor) -> None:
    visitor.log_in()

    for path in ("", "/login", "/jobs"):
        headers = visitor.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Visitor) -> None:
    cookie = visitor.log_in().headers["set-cookie"]

    assert {"HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age=28800"} <= set(
        cookie.split("; ")
    )
    assert "Secure" not in cookie


def test_behind_tls_the_cookie_is_secure(visitor: Visitor) -> None:
    cookie = visitor.log_in(X_Forwarded_Proto="https").headers["set-cookie"]

    assert "Secure" in cookie.split("; ")


def test_guessing_is_slowed_down_even_for_who_then_knows_the_password(visitor: Visitor) -> None:
    answers = [visitor.log_in("wrong").status for _ in range(5)]

    last = visitor.log_in()

    assert answers == [403] * 5
    assert last.status == 429
    assert 0 < int(last.headers["retry-after"]) <= 12
    assert "set-cookie" not in last.headers


def test_a_name_that_somebody_else_made_point_here_is_refused(visitor: Visitor) -> None:
    answer = visitor.get("/login", Host="evil.example.net")

    assert answer.status == 421
    assert b"CXONE_CONSOLE_HOSTS" in answer.body


def test_a_name_of_the_settings_is_ours(
    mongod_uri: str, database: Database[dict[str, object]]
) -> None:
    with visiting(mongod_uri, database.name, cxone_console_hosts="console.example.com") as found:
        assert found.get("/login", Host="console.example.com").status == 200


def test_a_deed_needs_the_token_of_its_session(visitor: Visitor) -> None:
    visitor.log_in()
    token = visitor.csrf()

    without = visitor.post("/logout", {})
    wrong = visitor.post("/logout", {"csrf": "0" * 64})
    right = visitor.post("/logout", {"csrf": token})

    assert [without.status, wrong.status, right.status] == [403, 403, 303]
    assert visitor.get("").status == 303


@pytest.mark.parametrize("hides", [pytest.param(False, marks=pytest.mark.slow), True])
def test_names_below_masked_fields_are_on_no_page(
    mongod_uri: str, database: Database[dict[str, object]], hides: bool
) -> None:
    bodies = [
        b'{"id":"1","type":"t","n":1}',
        b'{"id":"2","type":"t","seats":{"Wilhelmina":{"n":1}}}',
    ]
    with visiting(mongod_uri, database.name) as before:
        assert [before.post_webhook(body).status for body in bodies] == [200, 200]
    settings = {"cxone_on_new_field": "hold", **({"cxone_redact": "seats"} if hides else {})}
    with visiting(mongod_uri, database.name, **settings) as visitor:
        held = b'{"id":"3","type":"t","seats":{"Wilhelmina":{"x":1}},"new":1}'
        assert visitor.post_webhook(held).status == 202
        visitor.log_in()
        (letter,) = database["dead_letter_queue"].find()
        pages = {
            path: visitor.get(path).body.decode()
            for path in (
                "",
                "/schemas/subject?name=t",
                "/schemas/subject?name=t&tab=versions",
                "/schemas/subject?name=t&tab=compare",
                "/schemas/held?name=t",
                "/schemas/export?name=t",
                "/schemas/export?name=t&format=mongodb",
                f"/dead-letters/one?id={letter['_id']}",
            )
        }
        form = {"name": "t", "at": "2", "csrf": visitor.csrf()}
        form["changes"] = re.findall(r'"changes" value="(\w+)"', pages["/schemas/held?name=t"])[0]
        assert visitor.post("/schemas/held", form).status == 303
        # Recorded by an earlier program, which masked no names.
        deed = {
            "who": "Ann",
            "what": "schema approve",
            "subject": "t",
            "changes": ["seats.Wilhelmina"],
        }
        database["audit"].insert_one({**deed, "at": datetime.now(timezone.utc), "path": "a..["})
        pages["/audit"] = visitor.get("/audit").body.decode()

    shown = [path for path, page in pages.items() if "Wilhelmina" in page]
    assert shown == ([] if hides else list(pages))
    assert all("seats" in page for page in pages.values())


def test_nothing_is_approved_without_the_token_of_the_session_or_for_another_site(
    visitor: Visitor, database: Database[dict[str, object]]
) -> None:
    visitor.log_in()
    token = visitor.csrf()
    form = {"name": "t", "at": "0", "changes": ""}

    without = visitor.post("/schemas/held", form)
    wrong = visitor.post("/schemas/held", {**form, "csrf": "0" * 64})
    elsewhere = visitor.post("/schemas/held", {**form, "csrf": token}, Origin="http://evil.example")
    right = visitor.post("/schemas/held", {**form, "csrf": token})

    assert [without.status, wrong.status, elsewhere.status, right.status] == [403, 403, 403, 303]


def test_a_login_that_another_site_sends_is_refused(visitor: Visitor) -> None:
    answer = visitor.log_in(Sec_Fetch_Site="cross-site")

    assert answer.status == 403
    assert "set-cookie" not in answer.headers


def test_a_form_that_is_too_large_is_refused(visitor: Visitor) -> None:
    answer = visitor.post("/login", {"password": "x" * 70_000})

    assert answer.status == 400
    assert b"larger than 65,536 bytes" in answer.body


def test_a_link_from_elsewhere_is_followed_once_more_from_here(visitor: Visitor) -> None:
    answer = visitor.get("/jobs?series=a%22b", Sec_Fetch_Site="cross-site")

    assert answer.status == 200
    assert b'content="0;url=/console/jobs?series=a%22b"' in answer.body


def test_logins_are_written_down(visitor: Visitor, database: Database[dict[str, object]]) -> None:
    visitor.log_in()

    deed = database["audit"].find_one({"what": "console login"})

    assert deed is not None
    assert (deed["who"], deed["client"]) == ("Ada (console)", "127.0.0.1")


def test_secrets_are_not_on_the_settings_screen(visitor: Visitor) -> None:
    visitor.log_in()

    page = visitor.get("/settings").body.decode()

    assert "********" in page
    assert PASSWORD not in page
    assert "a secret for tests" not in page


@pytest.mark.parametrize("name", ["console.css", "console.js", "icon.svg"])
def test_files_may_be_kept_for_long_for_their_address_changes_with_them(
    visitor: Visitor, name: str
) -> None:
    answer = visitor.get(f"/static/{name}")

    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]
    visitor.log_in()
    assert re.search(rf"/console/static/{name}\?v=[0-9a-f]+", visitor.get("").body.decode())


@pytest.mark.parametrize("name", ["..%2Fmount.py", "none.css", "%00"])
def test_only_files_of_the_console_are_served(visitor: Visitor, name: str) -> None:
    assert visitor.get(f"/static/{name}").status == 404


def test_sources_are_shown_where_there_are_any(
    mongod_uri: str, database: Database[dict[str, object]], tmp_path: Path
) -> None:
    config = tmp_path / "sources.toml"
    config.write_text(SOURCES)
    with visiting(mongod_uri, database.name, cxone_config=str(config)) as visitor:
        visitor.log_in()
        visitor.post_webhook(b'{"id":')
        before = [visitor.get(path).body.decode() for path in ("/dead-letters", "/events")]
        visitor.send("/webhook/voice", b'{"contactId":', VOICE)
        visitor.send("/webhook/voice", b'{"contactId":"c","call":{"sequence":1}}', VOICE)
        letters = visitor.get("/dead-letters").body.decode()
        of_main = visitor.get("/dead-letters?source=main").body.decode()
        of_gone = visitor.get("/dead-letters?source=gone").body.decode()
        bulk = visitor.get("/dead-letters/bulk?what=discard&source=main").body.decode()
        events = visitor.get("/events").body.decode()
        settings = visitor.get("/settings").body.decode()
        (event,) = database["events"].find()
        one = visitor.get(f"/events/one?id={event['_id']}").body.decode()

    assert not [page for page in before if "by voice" in page or "by main" in page]
    assert ("by voice" in letters, "by main" in letters) == (True, True)
    assert "by voice" not in of_main
    assert "No dead letter fits." in of_gone
    assert "Discard 1 dead letter" in bulk
    assert '<input type="hidden" name="source" value="main">' in bulk
    assert "by voice" in events
    assert "<dt>Source</dt><dd>voice</dd>" in one
    assert "/webhook/voice" in settings
    assert "a token for voice only" not in settings
    assert "a password for the desk" not in settings


def test_without_sources_no_page_tells_one(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.post_webhook(b'{"id":')
    visitor.post_webhook(b'{"id":"1","type":"t"}')

    for path in ("/dead-letters", "/events", "/settings"):
        page = visitor.get(path).body.decode()
        assert 'name="source"' not in page
        assert ">Sources<" not in page
        assert "by main" not in page


def test_an_address_without_a_page_is_answered_by_one_that_says_so(visitor: Visitor) -> None:
    for path in ("/nothing", "/schemas/nothing/here"):
        answer = visitor.get(path)
        assert answer.status == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "The console has no page at this address." in answer.body.decode()
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_root_leads_to_the_console_where_there_is_one(visitor: Visitor) -> None:
    answer = visitor.send("/", b"", {}, "GET")

    assert (answer.status, answer.headers["location"]) == (303, "/console")


def test_the_start_says_where_the_console_is(
    mongod_uri: str, database: Database[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    with visiting(mongod_uri, database.name) as visitor:
        eventually(lambda: visitor.get("/login").status == 200)

        said = capsys.readouterr().err
    assert re.search(r"the console is at .*http://127\.0\.0\.1:\d+/console\b", said)


def test_colours_are_chosen_without_a_script_and_stay(visitor: Visitor) -> None:
    visitor.log_in()
    assert "data-colours" not in visitor.get("").body.decode()

    chosen = visitor.post("/colours", {"colours": "dark", "next": "/console/jobs"})
    page = visitor.get("/jobs").body.decode()
    nowhere = visitor.post("/colours", {"colours": "light", "next": "https://example.com"})
    back = visitor.post("/colours", {"colours": "", "next": ""})

    assert (chosen.status, chosen.headers["location"]) == (303, "/console/jobs")
    assert '<html lang="en" data-colours="dark">' in page
    assert nowhere.headers["location"] == "/console"
    assert back.status == 303
    assert "data-colours" not in visitor.get("/login").body.decode()
    assert visitor.post("/colours", {"colours": "dark red"}).status == 403
    assert visitor.post("/colours", {"colours": "dark"}, Sec_Fetch_Site="cross-site").status == 403


def test_a_row_of_the_audit_is_short_and_its_long_text_is_there(
    visitor: Visitor, database: Database[dict[str, object]]
) -> None:
    visitor.log_in()
    long = "because " * 100
    now = datetime.now(timezone.utc)
    entries = [f"{n:024x}" for n in range(1000)]
    database["audit"].insert_one(
        {"who": "x", "what": "dlq discard", "at": now, "because": long, "entries": entries}
    )

    page = visitor.get("/audit").body.decode()

    (whole,) = re.findall(r'<details id="\w+-because"><summary>(.*?)</summary>(.*?)</d', page)
    assert len(whole[0]) < 120
    assert whole[1].strip() == long.strip()
    assert "and 990 more" in page
