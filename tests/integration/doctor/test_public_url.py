"""doctor on the way from outside: what a proxy changes, and who answers in our place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import urllib3
from pymongo.database import Database

from consumer.doctor import public_url
from consumer.doctor.check import Check
from consumer.doctor.post import Answer, Silence, explain, post
from consumer.http import probe
from tests.support.doctor import settings_of, target
from tests.support.senders import web_server
from tests.support.service import SECRET, STANDARD_WEBHOOKS, running_service

ROUTE = "/webhook/cxone-dataaction"
Mangle = Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]


@contextmanager
def proxied(
    uri: str, database: str, mangle: Mangle, path: str = ROUTE, **settings: str
) -> Iterator[str]:
    """The public URL of a running service behind a proxy that mangles what passes to one path."""
    with running_service(uri, database, **settings) as service:
        address = service.service.url.replace(ROUTE, path)

        def forward(body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
            body, headers = mangle(body, headers)
            headers = {
                k: v for k, v in headers.items() if k.lower() not in ("content-length", "host")
            }
            reply = urllib3.request(
                "POST", address, body=body, headers=headers, retries=False, timeout=60
            )
            return reply.status, {}, reply.data

        with web_server(lambda _: (404, {}, b""), forward) as port:
            yield f"http://127.0.0.1:{port}{path}"


def untouched(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, headers


def compacting(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    text = json.dumps(json.loads(body), separators=(",", ":"), sort_keys=True)
    return text.encode(), headers


def emptying(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return b"", headers


def trimming(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body.rstrip(), {k: v for k, v in headers.items() if k != probe.HEADER}


def unsigning(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, {k: v for k, v in headers.items() if not k.startswith("X-Nice")}


def doubling(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    name = "X-Nice-Webhook-Signature"
    return body, {**headers, name: f"{headers[name]}, {headers[name]}"}


def losing_all(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return b"{}", {"Content-Type": "application/json"}


WAYS: list[tuple[Mangle, str]] = [
    (compacting, "the body changed on the way"),
    (emptying, "0 arrived, as an empty body"),
    (trimming, "as the body without its last line end"),
    (unsigning, "the header X-Nice-Webhook-Signature did not arrive"),
    (doubling, "the header X-Nice-Webhook-Signature arrived twice"),
    (losing_all, "body and headers were lost on the way"),
]


def sent_through(
    mongod_uri: str,
    database: str,
    mangle: Mangle,
    key: str = SECRET,
    path: str = ROUTE,
    **settings: str,
) -> list[Check]:
    with proxied(mongod_uri, database, mangle, path, **settings) as url:
        given = settings_of(**{"cxone_shared_secret": key, **settings})
        asked = target(given, url=url, clock=lambda: datetime.now(timezone.utc))
        return list(public_url.examine(asked))


def test_a_canary_through_a_good_proxy_verifies_and_is_stored_nowhere(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    checks = sent_through(mongod_uri, database.name, untouched)

    # A busy machine answers late, which is told too.
    told = [each for each in checks if not each.finding.startswith(("the answer took", "the URL"))]
    assert [each.status for each in told] == ["ok"]
    assert "signature verified" in checks[0].finding
    assert database["events"].count_documents({}) == 0
    assert database["dead_letter_queue"].count_documents({}) == 0


def test_a_canary_is_signed_as_standard_webhooks_are_and_its_id_must_arrive(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    def without_id(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        return body, {name: value for name, value in headers.items() if name != "Webhook-Id"}

    good = sent_through(mongod_uri, database.name, untouched, **STANDARD_WEBHOOKS)
    changed = sent_through(mongod_uri, database.name, without_id, **STANDARD_WEBHOOKS)

    assert "signature verified" in good[0].finding
    (fault,) = [check.finding for check in changed if check.status == "fail"]
    assert fault == "the header Webhook-Id did not arrive"


@pytest.mark.parametrize(("mangle", "words"), WAYS)
def test_what_a_proxy_changes_is_named(
    mongod_uri: str, database: Database[dict[str, Any]], mangle: Mangle, words: str
) -> None:
    checks = sent_through(mongod_uri, database.name, mangle)

    faults = [check.finding for check in checks if check.status == "fail"]
    assert len(faults) == 1
    assert words in faults[0]
    assert SECRET not in repr(checks)


def test_another_secret_there_is_told_from_a_mangling_proxy(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    checks = sent_through(mongod_uri, database.name, untouched, key="another-secret")

    assert "another secret" in next(check.advice for check in checks if check.status == "fail")


HTML = {"Content-Type": "text/html", "Server": "nginx"}
REPLIES: list[tuple[int, dict[str, str], bytes, str]] = [
    (301, {"Location": "https://x.example/y?token=1"}, b"", "redirect to https://x.example"),
    (404, HTML, b"<html>", "404 with a web page from nginx"),
    (502, {}, b"", "cannot reach this service"),
    (401, {}, b'{"title":"Invalid webhook signature"}', "neither body nor canary header"),
    (400, {}, b'{"title":"Missing required CXone fields: id, type"}', "without canary"),
    (200, {}, b"[[[", "something else"),
]


@pytest.mark.parametrize(("status", "headers", "body", "words"), REPLIES)
def test_who_answered_in_place_of_the_service_is_said(
    status: int, headers: dict[str, str], body: bytes, words: str
) -> None:
    finding, advice = explain(Answer(status, headers, body, 0.1))

    assert words in finding
    assert "token" not in finding
    assert advice


def test_why_no_answer_came_is_said() -> None:
    refused = post("http://127.0.0.1:1/", b"", {}, 1)
    unknown = post("http://no-such-host.invalid/", b"", {}, 2)
    with web_server(lambda _: (200, {}, b"")) as port:
        plain = post(f"https://127.0.0.1:{port}/", b"", {}, 2)

    assert isinstance(refused, Silence)
    assert "refused" in refused.cause
    assert isinstance(unknown, Silence)
    assert "DNS" in unknown.cause
    assert isinstance(plain, Silence)
    assert "TLS" in plain.cause


def tokenless(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, {name: value for name, value in headers.items() if name != "X-Api-Key"}


def token_twice(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, {**headers, "X-Api-Key": f"{headers['X-Api-Key']}, {headers['X-Api-Key']}"}


def other_token(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, {**headers, "X-Api-Key": "a token that the proxy sets"}


def token_and_empty(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return b"", headers


@pytest.mark.parametrize(
    ("mangle", "status", "words"),
    [
        (untouched, "ok", "X-Api-Key was right; it was not stored"),
        (compacting, "warn", "the body changed on the way"),
        (token_and_empty, "warn", "0 arrived, as an empty body"),
        (tokenless, "fail", "the header X-Api-Key did not arrive"),
        (token_twice, "fail", "the header X-Api-Key arrived twice"),
        (other_token, "fail", "X-Api-Key arrived, but the service there refuses it"),
    ],
)
def test_the_way_of_a_token_is_told_and_the_canary_stored_nowhere(
    mongod_uri: str,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    mangle: Mangle,
    status: str,
    words: str,
) -> None:
    config = tmp_path / "sources.toml"
    token = "a token for voice only"
    config.write_text(
        f'[sources.voice]\nproof = "token"\nheader = "X-Api-Key"\nsecret = "{token}"\n'
    )
    checks = sent_through(
        mongod_uri, database.name, mangle, path="/webhook/voice", cxone_config=str(config)
    )

    told = [check for check in checks if check.finding.startswith("voice: ")]
    assert (status, words) in [(check.status, words) for check in told if words in check.finding], (
        told
    )
    assert token not in repr(checks)
    assert database["events"].count_documents({}) == 0
    assert database["dead_letter_queue"].count_documents({"source": "voice"}) == 0
