"""config/openapi.json says what the service answers: each answer in it is had from a service, and
no other one."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pymongo.database import Database

from consumer.cli.main import run
from consumer.http import probe
from tests.support.places import ROOT
from tests.support.senders import exchange, one_answer
from tests.support.service import PATH, SECRET, Answer, Client, eventually, running_service
from tests.support.sources import with_sources

Json = dict[str, Any]
Got = tuple[str, str, str, Answer]
DOCUMENT: Json = json.loads((ROOT / "config" / "openapi.json").read_text(encoding="utf-8"))
NAMED, TOKEN = "/webhook/{name}", "/oauth2/token"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MIB = 1 << 20
DESK = "a secret of the desk"
SOURCES = f"""
[sources.desk]
secret = "{DESK}"
[sources.voice]
proof = "token"
header = "X-Api-Key"
secret = "a token for voice only"
[sources.hub]
proof = "oauth2"
secret = "a client secret for hub"
[subjects."held"]
on_new_field = "hold"
"""


def documented() -> Iterator[tuple[str, str, str, str]]:
    """Path, method, status and name of each answer."""
    for path, operations in DOCUMENT["paths"].items():
        for method in set(operations) - {"parameters"}:
            for status, response in operations[method]["responses"].items():
                for media in referred(response)["content"].values():
                    assert media["examples"], f"{method} {path} {status} has none"
                    yield from ((path, method, status, name) for name in media["examples"])


def referred(part: Json) -> Json:
    if "$ref" not in part:
        return part
    found = DOCUMENT
    for name in part["$ref"].split("/")[1:]:
        found = found[name]
    return found


def check(path: str, method: str, name: str, answer: Answer) -> None:
    """Fail where the answer is not as the document says of the one of that name."""
    where = f"{method} {path} {answer.status} {name}: {answer.body!r}"
    response = referred(DOCUMENT["paths"][path][method]["responses"][str(answer.status)])
    [media], [kind] = response["content"].values(), response["content"]
    assert answer.headers["content-type"].partition(";")[0] == kind, where
    for header, told in response.get("headers", {}).items():
        described = referred(told)
        if described.get("required") or header in answer.headers:
            whole = {**described["schema"], "components": DOCUMENT["components"]}
            value = answer.headers[header.lower()]
            Draft202012Validator(whole).validate(int(value) if value.isdecimal() else value)
    if kind == "text/plain":
        return
    schema = {**media["schema"], "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(answer.json)
    assert said(answer.json) == said(media["examples"][name]["value"]), where


def said(body: Json) -> str:
    """The part of a body that tells it from others; figures aside."""
    told = (body.get(name, "") for name in ("status", "title", "error_description", "token_type"))
    return re.sub(r"\d+", "0", "".join(told))


def test_each_documented_answer_is_given_and_no_other(
    mongod_uri: str,
    database: Database[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"cxone_max_waiting_bytes": "4MiB"}
    config = tmp_path / "sources.toml"
    got: list[Got] = []
    with with_sources(mongod_uri, database, config, SOURCES, **settings) as client:
        monkeypatch.setenv("MONGODB_URI", mongod_uri)
        monkeypatch.setenv("MONGODB_DATABASE", database.name)
        for path in (PATH, NAMED):
            got += of_webhook(client, path, config)
        got += of_sources(client)
        got += of_tokens(client)
        got += of_the_process(client)
        for path, operations in DOCUMENT["paths"].items():
            for method in set(operations) - {"parameters"}:
                got += of_the_server(client, path, method)
    with with_sources(mongod_uri, database, config, SOURCES, cxone_reject_status="202") as client:
        for path in (PATH, NAMED):
            got.append((path, "post", "dead_lettered", post(client, path, b"{")))
    away = {"cxone_spool_max_bytes": "32MiB", "cxone_spool_after": "200ms"}
    with with_sources("mongodb://127.0.0.1:9/", database, config, SOURCES, **away) as client:
        got += of_a_full_spool(client)
    with running_service(mongod_uri, database.name) as client:
        got.append((TOKEN, "post", "not_found", client.request("POST", TOKEN, b"", FORM)))

    for each in got:
        check(*each)
    had = {(path, method, str(answer.status), name) for path, method, name, answer in got}
    assert set(documented()) - had == set()


def concrete(path: str) -> str:
    return path.replace("{name}", "desk")


def post(client: Client, path: str, body: bytes, headers: Mapping[str, str] = {}) -> Answer:
    signed = client.signed(body, SECRET if path == PATH else DESK)
    return client.request("POST", concrete(path), body, {**signed, **headers})


def event(number: object, subject: str = "t", **fields: object) -> bytes:
    return json.dumps({"id": str(number), "type": subject, **fields}).encode()


def of_webhook(client: Client, path: str, config: Path) -> Iterator[Got]:
    ours = {"processed": event(path), "duplicate": event(path)}
    ours |= {"malformed_json": b'{"id":"x', "missing_fields": b'{"type":"t"}'}
    ours |= {"unstorable": b'{"id":"1","type":"t","n":%s}' % (b"1" * 40)}
    ours |= {"too_deep": b'{"id":"1","type":"t","n":%s%s}' % (b"[" * 200, b"]" * 200)}
    for name, body in ours.items():
        yield path, "post", name, post(client, path, body)
    for status, reject in (("held", []), ("discarded", ["b", "--then", "discard"])):
        assert post(client, path, event(f"{path}1", "held")).status == 200
        if reject:
            assert run(["--config", str(config), "schema", "reject", "held", *reject]) == 0
        yield path, "post", status, post(client, path, event(f"{path}{status}", "held", b=1))
    run(["--config", str(config), "schema", "reject", "held", "b", "--revoke"])
    nonce = probe.body("a1")
    yield path, "post", "canary", post(client, path, nonce, probe.marked(nonce))
    unsigned = client.request("POST", concrete(path), nonce, probe.marked(nonce))
    yield path, "post", "canary", unsigned
    yield path, "post", "signature_missing", client.request("POST", concrete(path), b"{}", {})
    wrong = client.signed(b"{}", "another secret")
    yield path, "post", "signature_invalid", client.request("POST", concrete(path), b"{}", wrong)


def of_sources(client: Client) -> Iterator[Got]:
    for name, source, headers in (
        ("credential_missing", "voice", {}),
        ("credential_invalid", "voice", {"X-Api-Key": "x"}),
        ("token_missing", "hub", {}),
        ("token_invalid", "hub", {"Authorization": "Bearer x"}),
        ("not_found", "nobody", {}),
    ):
        answer = client.request("POST", f"/webhook/{source}", event(1), headers)
        yield NAMED, "post", name, answer


def of_tokens(client: Client) -> Iterator[Got]:
    def ask(name: str, form: str) -> Got:
        return TOKEN, "post", name, client.request("POST", TOKEN, form.encode(), FORM)

    right = "grant_type=client_credentials&client_id=hub&client_secret="
    yield ask("token", right + "a+client+secret+for+hub")
    yield ask("invalid_request", "client_id=hub")
    yield ask("unsupported_grant_type", "grant_type=password")
    yield ask("invalid_request", "x" * 9000)
    yield ask("invalid_client", right + "wrong")
    for _ in range(5):
        last = ask("invalid_client", right + "wrong")
    assert last[3].status == 429
    yield last


def of_the_process(client: Client) -> Iterator[Got]:
    yield "/healthz", "get", "ok", client.get("/healthz")
    eventually(lambda: client.get("/readyz").status == 200)
    yield "/readyz", "get", "ready", client.get("/readyz")
    yield "/metrics", "get", "metrics", client.get("/metrics")
    for path in ("/healthz", "/readyz", "/metrics"):
        headed = client.request("HEAD", path, b"", {})
        assert (headed.status, headed.body) == (200, b"")


def of_the_server(client: Client, path: str, method: str) -> Iterator[Got]:
    """Answers that every operation gives, for they come before its request is looked at."""
    address = client.service.server.address
    head = f"{method.upper()} {concrete(path)} HTTP/1.1\r\nHost: h\r\n".encode()
    other = "DELETE"
    yield path, method, "not_allowed", client.request(other, concrete(path), b"", {})
    for name, rest in (
        ("not_read", b"Transfer-Encoding: gzip\r\n\r\n"),
        ("too_large", b"Content-Length: 9999999\r\n\r\n"),
        ("headers_too_large", b"X: %s\r\n\r\n" % (b"x" * 300_000)),
    ):
        yield path, method, name, read(exchange(address, head + rest))
    with ExitStack() as stack:
        waiting = [
            stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(5)
        ]
        for connection in waiting:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % MIB + b"x" * (MIB - 1))
        yield path, method, "overloaded", read(one_answer(waiting[0]))


def read(text: bytes) -> Answer:
    """An answer as it came."""
    head, _, body = text.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Answer(int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


def of_a_full_spool(client: Client) -> Iterator[Got]:
    for path in (PATH, NAMED):
        yield path, "post", "spooled", post(client, path, event(path))
    filling = (event(number, x="x" * 900_000) for number in range(60))
    assert next((True for each in filling if post(client, PATH, each).status == 503), False)
    for path in (PATH, NAMED):
        full = event(path, x="x" * 900_000)
        yield path, "post", "unavailable", post(client, path, full)
    eventually(lambda: client.get("/readyz").status == 503)
    yield "/readyz", "get", "unavailable", client.get("/readyz")
