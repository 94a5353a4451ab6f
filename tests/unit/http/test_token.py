"""The token endpoint answers as RFC 6749 says, and refuses no right secret for others' guesses."""

from __future__ import annotations

import base64
import itertools
import random
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote_plus, urlencode

import falcon
import pytest
from falcon import testing
from structlog.testing import capture_logs

from config.sources import TOKEN_PATH
from consumer.core.errors import SignatureInvalid
from consumer.core.metrics import Metrics
from consumer.core.throttle import Throttle
from consumer.http import errors
from consumer.http.client_address import Clients
from consumer.http.token import TokenEndpoint
from consumer.ingest.oauth2 import check
from consumer.ingest.signature import Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
FORM = "application/x-www-form-urlencoded"
# With what a form and Basic need to encode.
VOICE, BEFORE, CHAT = "vöice:+% secret&=1", "voice-before-0123", "chat-secret-0123456"
SECRETS = {
    "voice": (Secret("current", VOICE.encode()), Secret("previous", BEFORE.encode())),
    "chat": (Secret("current", CHAT.encode()),),
}
GRANT = ("grant_type", "client_credentials")


def client(now: Callable[[], float] = lambda: 0.0) -> testing.TestClient:
    app: falcon.App[Any, Any] = falcon.App()
    endpoint = TokenEndpoint(
        clients=SECRETS,
        clock=lambda: NOW,
        addresses=Clients((ip_network("127.0.0.1"),)),
        throttle=Throttle(now),
    )
    app.add_route(TOKEN_PATH, endpoint)
    errors.install(app, reject_status=400, metrics=Metrics())
    return testing.TestClient(app)


def basic(name: str, secret: str, encode: Callable[[str], str] = quote_plus) -> str:
    text = f"{encode(name)}:{encode(secret)}".encode()
    return f"Basic {base64.b64encode(text).decode()}"


def ask(
    to: testing.TestClient,
    *fields: tuple[str, str],
    auth: str | None = None,
    body: bytes | None = None,
    content_type: str = FORM,
    address: str = "192.0.2.1",
) -> testing.Result:
    headers = {"Content-Type": content_type, "X-Forwarded-For": address}
    if auth is not None:
        headers["Authorization"] = auth
    data = urlencode(fields).encode() if body is None else body
    return to.simulate_post(TOKEN_PATH, body=data, headers=headers, remote_addr="127.0.0.1")


def by_form(name: str, secret: str) -> tuple[tuple[str, str], ...]:
    return GRANT, ("client_id", name), ("client_secret", secret)


RIGHT = by_form("voice", VOICE)


def of_bytes(length: int) -> bytes:
    return urlencode((*RIGHT, ("x", ""))).encode().ljust(length, b"x")


def told(answer: testing.Result) -> tuple[int, str]:
    return answer.status_code, answer.json.get("error", "")


@pytest.mark.parametrize(
    ("name", "secret", "made_by"),
    [("voice", VOICE, "current"), ("voice", BEFORE, "previous"), ("chat", CHAT, "current")],
)
@pytest.mark.parametrize("way", ["form", "basic", "basic with an id in the form"])
def test_a_right_secret_gets_a_token_for_its_source_alone(
    name: str, secret: str, made_by: str, way: str
) -> None:
    if way == "form":
        answer = ask(client(), *by_form(name, secret))
    else:
        fields = (GRANT, ("client_id", name)) if "id" in way else (GRANT,)
        answer = ask(client(), *fields, auth=basic(name, secret))

    token = answer.json["access_token"]
    other = "chat" if name == "voice" else "voice"

    assert answer.status_code == 200
    assert answer.json == {"access_token": token, "token_type": "Bearer", "expires_in": 3300}
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert answer.headers["content-type"] == "application/json"
    assert check(token, name, SECRETS[name], NOW) == made_by
    with pytest.raises(SignatureInvalid):
        check(token, other, SECRETS[other], NOW)


def test_a_token_is_valid_as_long_as_its_sender_is_told_also_where_a_clock_is_ahead() -> None:
    answer = ask(client(), *RIGHT).json
    ahead = NOW + timedelta(seconds=answer["expires_in"] - 1 + 300)

    assert check(answer["access_token"], "voice", SECRETS["voice"], ahead) == "current"


WRONG = "wrong-secret-012345"
PLAIN = str
UNREADABLE = "Basic dm9pY2U6/w=="

REFUSED: tuple[tuple[str, int, str, tuple[tuple[str, str], ...], dict[str, Any]], ...] = (
    ("no body", 400, "invalid_request", (), {}),
    ("no grant", 400, "invalid_request", RIGHT[1:], {}),
    ("an empty grant is none", 400, "invalid_request", (("grant_type", ""), *RIGHT[1:]), {}),
    ("no secret", 400, "invalid_request", RIGHT[:2], {}),
    ("no id", 400, "invalid_request", (GRANT, RIGHT[2]), {}),
    ("both ways", 400, "invalid_request", RIGHT, {"auth": basic("voice", VOICE)}),
    ("a secret in both", 400, "invalid_request", RIGHT[::2], {"auth": basic("voice", VOICE)}),
    ("two ids", 400, "invalid_request", RIGHT[:2], {"auth": basic("chat", CHAT)}),
    ("a doubled secret", 400, "invalid_request", (*RIGHT, RIGHT[2]), {}),
    ("a doubled grant", 400, "invalid_request", (*RIGHT, GRANT), {}),
    ("doubled without a value", 400, "invalid_request", (*RIGHT, ("client_id", "")), {}),
    ("doubled and unknown", 400, "invalid_request", (*RIGHT, ("x", "1"), ("x", "1")), {}),
    ("101 fields", 400, "invalid_request", (*RIGHT, *((f"x{n}", "") for n in range(98))), {}),
    ("no form", 400, "invalid_request", RIGHT, {"content_type": "application/json"}),
    ("no type", 400, "invalid_request", RIGHT, {"content_type": ""}),
    ("no UTF-8", 400, "invalid_request", (), {"body": of_bytes(200) + b"\xff"}),
    ("escapes of no UTF-8", 400, "invalid_request", (), {"body": of_bytes(200) + b"%ff"}),
    ("8193 bytes", 413, "invalid_request", (), {"body": of_bytes(8193)}),
    ("Basic without a colon", 400, "invalid_request", (GRANT,), {"auth": "Basic dm9pY2U="}),
    ("Basic of no Base64", 400, "invalid_request", (GRANT,), {"auth": basic("a", "b") + "!"}),
    ("Basic twice", 400, "invalid_request", (GRANT,), {"auth": f"{basic('a', 'b')}, Basic YTpi"}),
    ("Basic of no UTF-8", 400, "invalid_request", (GRANT,), {"auth": UNREADABLE}),
    ("escapes in an id", 400, "invalid_request", (GRANT,), {"auth": basic("%ff", "b", PLAIN)}),
    ("escapes there", 400, "invalid_request", (GRANT,), {"auth": basic("a", "%ff", PLAIN)}),
    ("a long header", 400, "invalid_request", (GRANT,), {"auth": basic("a", "b" * 6144)}),
    ("another grant", 400, "unsupported_grant_type", (("grant_type", "x"), *RIGHT[1:]), {}),
    ("no credentials", 401, "invalid_client", (GRANT,), {}),
    ("a wrong secret", 401, "invalid_client", by_form("voice", WRONG), {}),
    ("the secret of another", 401, "invalid_client", by_form("voice", CHAT), {}),
    ("an unknown id", 401, "invalid_client", by_form("nobody", VOICE), {}),
    ("wrong in Basic", 401, "invalid_client", (GRANT,), {"auth": basic("voice", WRONG)}),
    ("nothing in Basic", 401, "invalid_client", (GRANT,), {"auth": basic("", "")}),
    ("not encoded", 401, "invalid_client", (GRANT,), {"auth": basic("voice", VOICE, PLAIN)}),
    ("another scheme", 401, "invalid_client", RIGHT, {"auth": "Bearer x"}),
)


@pytest.mark.parametrize(
    ("status", "error", "fields", "given"),
    [row[1:] for row in REFUSED],
    ids=[r[0] for r in REFUSED],
)
def test_what_is_wrong_is_answered_as_rfc_6749_says(
    status: int, error: str, fields: tuple[tuple[str, str], ...], given: dict[str, Any]
) -> None:
    refused = ask(client(), *fields, **given)

    assert told(refused) == (status, error)
    assert refused.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in refused.headers) == (status == 401)
    assert refused.headers.get("www-authenticate", "Basic ").startswith("Basic ")
    # Section 5.2.
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", refused.json["error_description"])


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        pytest.param((*RIGHT, ("scope", "events")), {}, id="a scope"),
        pytest.param((*RIGHT, ("audience", "x")), {}, id="what nobody knows"),
        pytest.param((), {"body": of_bytes(8192)}, id="8192 bytes"),
        pytest.param(RIGHT, {"content_type": f"{FORM.upper()}; charset=utf-8"}, id="a charset"),
        pytest.param((GRANT,), {"auth": f"bASIC  {basic('chat', CHAT)[6:]}"}, id="bASIC"),
    ],
)
def test_what_is_no_fault_is_none(
    fields: tuple[tuple[str, str], ...], given: dict[str, Any]
) -> None:
    assert told(ask(client(), *fields, **given)) == (200, "")


def test_nothing_is_read_from_the_address() -> None:
    answer = client().simulate_post(
        TOKEN_PATH, query_string=urlencode(RIGHT), headers={"Content-Type": FORM}
    )

    assert told(answer) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_nothing_but_post_is_taken(method: str) -> None:
    answer = client().simulate_request(method, TOKEN_PATH)

    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


def test_a_body_without_length_is_never_read_unbounded() -> None:
    headers = {"Content-Type": FORM, "Content-Length": ""}

    answer = client().simulate_post(TOKEN_PATH, body=urlencode(RIGHT), headers=headers)

    assert told(answer) == (400, "invalid_request")


def test_wrong_tries_of_an_address_are_limited_and_right_ones_never() -> None:
    now = [0.0]
    to = client(lambda: now[0])

    wrong = [ask(to, *by_form("voice", f"wrong {n}")) for n in range(7)]
    right = [ask(to, *RIGHT) for _ in range(60)]
    now[0] += 11.5
    still = ask(to, *by_form("nobody", "wrong"))
    now[0] += 0.5
    again = ask(to, *by_form("nobody", "wrong"))

    assert [one.status_code for one in wrong] == [401] * 5 + [429] * 2
    assert (wrong[-1].headers["retry-after"], told(wrong[-1])[1]) == ("12", "invalid_client")
    assert {one.status_code for one in right} == {200}
    assert (still.status_code, still.headers["retry-after"]) == (429, "1")
    assert again.status_code == 401


def test_wrong_tries_from_everywhere_are_limited_in_all_and_refuse_nobody_right() -> None:
    to = client()

    wrong = [ask(to, *by_form("voice", "wrong"), address=f"10.0.{n}.1") for n in range(60)]
    right = [ask(to, *RIGHT, address=address) for address in ("10.0.7.1", "192.0.2.9")]

    assert [one.status_code for one in wrong].count(401) == 50
    assert [one.status_code for one in wrong[50:]] == [429] * 10
    assert {one.status_code for one in right} == {200}


def test_right_secrets_and_malformed_requests_use_up_no_tries() -> None:
    to = client()
    for _ in range(30):
        ask(to, *RIGHT)
        ask(to, GRANT)
        ask(to, *RIGHT, auth="Basic !")

    assert ask(to, *by_form("voice", "wrong")).status_code == 401


def test_the_log_names_known_clients_and_no_secret_and_is_bounded() -> None:
    to = client()
    with capture_logs() as lines:
        ask(to, *RIGHT)
        ask(to, *by_form("voice", "PASTED-SECRET"))
        ask(to, *by_form("PASTED-SECRET", VOICE), address="192.0.2.2")
        ask(to, GRANT, auth="Basic PASTED-SECRET")
        for _ in range(100):
            ask(to, *by_form("chat", "PASTED-SECRET"), address="192.0.2.3")

    assert [(one["source"], one["client"]) for one in lines] == [
        ("voice", "192.0.2.1"),
        ("", "192.0.2.2"),
        *[("chat", "192.0.2.3")] * 5,
    ]
    assert "SECRET" not in str(lines).upper().replace("WRONG CLIENT SECRET", "")
    assert VOICE not in str(lines)


def test_unknown_clients_have_the_same_secrets_compared_as_known_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[list[bytes]] = []

    def compare(kept: bytes, given: bytes) -> bool:
        compared[-1].append(kept)
        return kept == given

    monkeypatch.setattr("hmac.compare_digest", compare)
    for name in ("voice", "chat", "nobody"):
        compared.append([])
        ask(client(), *by_form(name, "wrong"))

    assert compared[0] == compared[1] == compared[2]
    assert len(compared[0]) == 6


def decoded(value: bytes) -> str:
    """The text that a form encodes in a name or value, read byte by byte; raises ValueError."""
    plain = bytearray()
    while value:
        if re.match(rb"%[0-9A-Fa-f]{2}", value):
            plain.append(int(value[1:3], 16))
            value = value[3:]
        else:
            plain += b" " if value[:1] == b"+" else value[:1]
            value = value[1:]
    return plain.decode()


def right_one(body: bytes, auth: bytes | None) -> str | None:
    """The client that a request proves itself to be, after the letter of RFC 6749; None: no one."""
    try:
        fields = [one.partition(b"=") for one in body.split(b"&") if one]
        body.decode()
        pairs = [(decoded(name), decoded(value)) for name, _, value in fields]
        if len({name for name, _ in pairs}) < len(pairs) or len(body) > 8192:
            return None
        form = {name: value for name, value in pairs if value}
        ids = [form[name] for name in ("client_id", "client_secret") if name in form]
        if auth:
            found = re.fullmatch(rb"(?i:basic) +([A-Za-z0-9+/]*={0,2}) *", auth)
            if found is None or "client_secret" in form:
                return None
            name, secret = base64.b64decode(found[1], validate=True).split(b":", 1)
            if ids not in ([], [decoded(name)]):
                return None
            (name + secret).decode()
            ids = [decoded(name), decoded(secret)]
    except ValueError:
        return None
    known = len(ids) == 2 and ids[1].encode() in [one.key for one in SECRETS.get(ids[0], ())]
    return ids[0] if known and form.get("grant_type") == GRANT[1] else None


def mutated(draw: random.Random, value: bytes) -> bytes:
    at = draw.randrange(len(value) + 1)
    odd = draw.choice(
        [b"%", b"%00", b"%ff", b"%26", b"+", b"&", b"=", b"\xff", b"\0", b";", b"\xc3\xb6", b" "]
    )
    return draw.choice(
        [
            value[:at] + odd + value[at:],
            value[:at] + odd + value[at + 1 :],
            value[:at] + value[at + 1 :],
            value[:at],
            value[at:],
            value + b"&" + value,
            value + b"&scope=x&client_id=",
            value * draw.choice([1, 1, 1, 90]),
            value.swapcase(),
            value.replace(b"voice", draw.choice([b"chat", b"%76oice", b"voice ", b"VOICE"])),
        ]
    )


@pytest.mark.parametrize("times", [1_000, pytest.param(30_000, marks=pytest.mark.slow)])
def test_of_mutated_requests_only_the_right_ones_get_a_token_and_none_breaks_it(
    times: int,
) -> None:
    draw, jumps = random.Random(4), itertools.count(0, 10**6)
    to, ends = client(lambda: float(next(jumps))), dict.fromkeys((200, 400, 401, 413), 0)
    parts = [
        *itertools.product(["voice", "chat", "nobody", ""], [VOICE, BEFORE, CHAT, "wrong", ""]),
        *[("voice", VOICE), ("voice", BEFORE), ("chat", CHAT)] * 9,
    ]

    for _ in range(times):
        name, secret = draw.choice(parts)
        auth = basic(name, secret).encode() if draw.random() < 0.5 else None
        both = draw.random() < 0.05
        fields = list(by_form(name, secret) if auth is None or both else (GRANT,))
        draw.shuffle(fields)
        body = urlencode(fields).encode()
        for _ in range(draw.choice([0, 1, 1, 2, 3])):
            if auth is not None and draw.random() < 0.5:
                text = base64.b64encode(mutated(draw, f"{name}:{secret}".encode()))
                auth = draw.choice([mutated(draw, auth), b"Basic " + text])
            else:
                body = mutated(draw, body)
        given = None if auth is None else auth.decode("latin-1")
        answer = ask(to, body=body, auth=given)
        expected = right_one(body, auth)

        assert (answer.status_code == 200) == (expected is not None), (body, auth)
        if expected is not None:
            check(answer.json["access_token"], expected, SECRETS[expected], NOW)
        ends[answer.status_code] += 1

    assert min(ends.values()) > times / 500, ends
