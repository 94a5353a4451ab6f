"""The way into the console: sessions, tries, hosts and proxies."""

from __future__ import annotations

import configparser
import threading
import time
from fnmatch import fnmatch
from ipaddress import ip_network
from typing import Any

import falcon
import falcon.testing
import pytest
import structlog
from pymongo import MongoClient

from consumer.console.base import Base
from consumer.console.origin import Origins
from consumer.console.request import inside
from consumer.console.session import Sessions, clean_name, signer
from consumer.console.templating import Assets, Templates
from consumer.core.throttle import Throttle
from consumer.http.client_address import Clients
from consumer.mongodb.ended_sessions import EndedSessions
from tests.support.places import ROOT

ORIGINS = Origins(
    Clients((ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("::1"))),
    frozenset({"console.example.com"}),
)


def sessions(password: str = "a password", pepper: bytes = b"x", seconds: float = 60) -> Sessions:
    return Sessions(password, pepper, seconds)


def test_a_session_is_read_by_every_process_with_the_same_secrets() -> None:
    cookie = sessions().open("Ada")

    session = sessions().read(cookie)

    assert session is not None
    assert session.who == "Ada (console)"
    assert sessions().allows(session, session.csrf)


@pytest.mark.parametrize("other", [sessions("another"), sessions(pepper=b"y")])
def test_another_password_or_shared_secret_ends_sessions(other: Sessions) -> None:
    assert other.read(sessions().open("Ada")) is None


def test_a_session_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = sessions(seconds=60).open("Ada")
    now = time.time()

    monkeypatch.setattr(time, "time", lambda: now + 61.5)

    assert sessions(seconds=60).read(cookie) is None


@pytest.mark.parametrize("cookie", [None, "", "x", "a.b.c", "é", "x" * 5000])
def test_what_we_did_not_sign_is_no_session(cookie: str | None) -> None:
    assert sessions().read(cookie) is None


def test_a_cookie_that_was_changed_is_no_session() -> None:
    head, _, rest = sessions().open("Ada").partition(".")

    assert sessions().read(f"{sessions().open('Eve').partition('.')[0]}.{rest}") is None
    assert sessions().read(f"{head}.{rest}") is not None


def test_the_token_of_one_session_does_not_serve_another() -> None:
    mine, yours = (sessions().read(sessions().open("Ada")) for _ in range(2))

    assert mine is not None
    assert yours is not None
    assert not sessions().allows(mine, yours.csrf)
    assert not sessions().allows(mine, "")
    assert not sessions().allows(mine, "é")


def test_passwords_are_compared_whole_and_beyond_ascii() -> None:
    known = sessions("pässword")

    assert known.knows("pässword")
    assert not known.knows("pässwor")
    assert not known.knows("")


@pytest.mark.parametrize(
    ("given", "name"),
    [(" Ada ", "Ada"), ("", "somebody"), ("a\nb\x1b[0m", "ab[0m"), ("x" * 99, "x" * 64)],
)
def test_a_name_for_the_audit_is_one_printable_line(given: str, name: str) -> None:
    assert clean_name(given) == name


def environ(**given: str) -> dict[str, Any]:
    return {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", **given}


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("6.6.6.6, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("10.1.2.3", "10.1.2.3"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("6.6.6.6:1, 192.0.2.7:50123", "192.0.2.7"),
        ("192.0.2.7:1, 10.1.2.3:2", "192.0.2.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:5", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.7, unknown", "127.0.0.1"),
        ("192.0.2.7, _hidden:80", "127.0.0.1"),
        (",,", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(
    forwarded: str, client: str
) -> None:
    assert ORIGINS.of(environ(HTTP_X_FORWARDED_FOR=forwarded)).client == client


def test_a_guesser_behind_a_proxy_that_tells_ports_is_one_client() -> None:
    throttle = Throttle(lambda: 0.0)

    taken = [
        throttle.take(ORIGINS.of(environ(HTTP_X_FORWARDED_FOR=f"192.0.2.7:{port}")).client)
        for port in range(50_000, 50_010)
    ]
    other = throttle.take(ORIGINS.of(environ(HTTP_X_FORWARDED_FOR="192.0.2.8:50000")).client)

    assert taken.count(None) == 5
    assert other is None


def test_a_proxy_whose_address_is_written_as_of_ipv6_is_trusted_as_well() -> None:
    told = environ(REMOTE_ADDR="::ffff:127.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.7:1")

    assert ORIGINS.of(told).client == "192.0.2.7"


def test_forwarded_headers_of_somebody_else_are_not_believed() -> None:
    told = environ(
        REMOTE_ADDR="192.0.2.9", HTTP_X_FORWARDED_FOR="1.2.3.4", HTTP_X_FORWARDED_PROTO="https"
    )

    origin = ORIGINS.of(told)

    assert (origin.client, origin.secure) == ("192.0.2.9", False)


def test_a_trusted_proxy_says_that_the_browser_came_by_tls() -> None:
    assert ORIGINS.of(environ(HTTP_X_FORWARDED_PROTO="https")).secure
    assert not ORIGINS.of(environ(HTTP_X_FORWARDED_PROTO="http")).secure


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8080", True),
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("192.168.1.5", True),
        ("console.example.com", True),
        ("Console.Example.com.:443", True),
        ("demo.localhost", True),
        ("evil.example.net", False),
        ("console.example.com.evil.net", False),
        ("notlocalhost", False),
        ("", False),
    ],
)
def test_only_addresses_localhost_and_names_of_the_settings_are_hosts_of_ours(
    host: str, known: bool
) -> None:
    assert ORIGINS.knows(ORIGINS.of(environ(HTTP_HOST=host))) is known


@pytest.mark.parametrize(
    ("told", "own"),
    [
        ({}, True),
        ({"HTTP_ORIGIN": "http://localhost"}, True),
        ({"HTTP_ORIGIN": "null"}, True),
        ({"HTTP_ORIGIN": "http://evil.example"}, False),
        ({"HTTP_ORIGIN": "http://["}, False),
        ({"HTTP_ORIGIN": "//%5b"}, False),
        ({"HTTP_ORIGIN": "http://localhost]"}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, True),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, False),
    ],
)
def test_a_deed_that_another_site_asks_for_is_not_ours(told: dict[str, str], own: bool) -> None:
    assert ORIGINS.is_own(environ(**told)) is own


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        ("/console/jobs?series=a", "/console/jobs?series=a"),
        ("/console", "/console"),
        ("", "/console"),
        ("https://evil.example/console", "/console"),
        ("//evil.example/console", "/console"),
        ("/\\evil.example", "/console"),
        ("/consoles", "/console"),
        ("/console/login", "/console"),
        ("/console/x\r\nSet-Cookie: a=b", "/console"),
        ("javascript:alert(1)", "/console"),
    ],
)
def test_a_login_leads_nowhere_but_into_the_console(asked: str, goes: str) -> None:
    assert inside(asked) == goes


def test_templates_and_static_files_are_part_of_the_package() -> None:
    root = ROOT
    packaged = configparser.ConfigParser()
    packaged.read(root / "setup.cfg", "utf-8")
    patterns = packaged["options.package_data"]["consumer.console"].split(", ")
    folder = root / "consumer" / "console"
    files = [
        each.relative_to(folder).as_posix()
        for each in folder.rglob("*.*")
        if each.suffix not in (".py", ".pyc")
    ]

    assert len(files) > 10
    assert [file for file in files if not any(fnmatch(file, each) for each in patterns)] == []


def test_the_same_fault_is_one_line_of_the_log_however_often_it_comes() -> None:
    base = Base(
        templates=Templates(Assets()),
        sessions=sessions(),
        origins=ORIGINS,
        messages=signer(b"x"),
        slots=threading.BoundedSemaphore(1),
        ended_sessions=EndedSessions(MongoClient[dict[str, Any]](connect=False)["d"]["c"]),
        common={"screens": [], "root": "/console", "release": "1"},
    )

    class Breaking:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            def work(*_: object) -> None:
                raise KeyError("a value of a payload")

            base.answer(req, resp, work)

    app: falcon.App[Any, Any] = falcon.App()
    app.add_route("/console", Breaking())
    with structlog.testing.capture_logs() as lines:
        asked = falcon.testing.TestClient(app, headers={"Host": "localhost"})
        answers = [asked.simulate_get("/console") for _ in range(30)]

    assert {answer.status_code for answer in answers} == {503}
    assert not any("a value of" in answer.text for answer in answers)
    assert [each["error"] for each in lines] == ["KeyError"]
