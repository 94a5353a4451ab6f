from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from consumer.detective import Finding, investigate
from consumer.events import Delivery
from consumer.signature import Secret, SignatureScheme, sign, verify

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
STAMP = str(int(NOW.timestamp()))
KEY = b"Kq3v-1_secret.text"  # with it, the base64 of b"{}" holds + and /
SECRETS = (Secret("current", KEY), Secret("previous", b"the-one-before"))
SCHEME = SignatureScheme()
HEADER = "x-nice-webhook-signature"
BODY = (
    '{"id": "7", "type": "contact.ended", "note": "Zoë said <hi>/", "w": 1.0, "n": [1.10]}'.encode()
)


def mac(body: bytes = BODY, key: bytes = KEY, algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, body, algorithm)


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def found(
    headers: dict[str, str], body: bytes = BODY, scheme: SignatureScheme = SCHEME
) -> Finding | None:
    return investigate(Delivery("d", body, headers, NOW), scheme, SECRETS)


def by(headers: dict[str, str], scheme: SignatureScheme = SCHEME) -> str:
    finding = found(headers, scheme=scheme)
    assert finding is not None
    assert finding.kind == "settings"
    return finding.advice


def with_settings(scheme: SignatureScheme, finding: Finding) -> SignatureScheme:
    fields: dict[str, Any] = {
        "CXONE_SIGNATURE_HEADER": "header",
        "CXONE_SIGNATURE_ENCODING": "encoding",
        "CXONE_SIGNATURE_PREFIX": "prefix",
        "CXONE_SIGNED_CONTENT": "content",
        "CXONE_TIMESTAMP_HEADER": "timestamp_header",
    }
    changed: dict[str, Any] = {fields[name]: value for name, value in finding.settings}
    return replace(scheme, **changed)


def test_hex_is_advised_as_a_setting() -> None:
    assert by({HEADER: mac().hex()}) == "would verify with CXONE_SIGNATURE_ENCODING=hex"
    assert by({HEADER: mac().hex().upper()}) == "would verify with CXONE_SIGNATURE_ENCODING=hex"


def test_another_header_with_prefix_and_hex_is_advised_whole() -> None:
    assert by({"x-hub-signature-256": "sha256=" + mac().hex()}) == (
        "would verify with CXONE_SIGNATURE_HEADER=X-Hub-Signature-256"
        " and CXONE_SIGNATURE_ENCODING=hex and CXONE_SIGNATURE_PREFIX=sha256="
    )


@pytest.mark.parametrize("prefix", ["sha256=", "sha256:", "v1=", "sha256-", "HMAC-SHA256 "])
def test_prefixes_are_advised(prefix: str) -> None:
    advice = by({HEADER: prefix + b64(mac())})

    assert advice == f"would verify with CXONE_SIGNATURE_PREFIX={prefix}"


def test_a_prefix_that_is_configured_but_not_sent_is_to_be_emptied() -> None:
    advice = by({HEADER: b64(mac())}, SignatureScheme(prefix="sha256="))

    assert advice == "would verify with CXONE_SIGNATURE_PREFIX=(empty)"


def test_a_signed_timestamp_is_advised_with_its_header() -> None:
    headers = {HEADER: b64(mac(STAMP.encode() + b"." + BODY)), "x-cxone-timestamp": STAMP}

    assert by(headers) == (
        "would verify with CXONE_SIGNED_CONTENT=timestamp.body"
        " and CXONE_TIMESTAMP_HEADER=X-Cxone-Timestamp"
    )


def test_a_timestamp_that_is_not_signed_after_all_is_advised() -> None:
    scheme = SignatureScheme(content="timestamp.body", timestamp_header="X-Timestamp")

    assert by({HEADER: b64(mac())}, scheme) == "would verify with CXONE_SIGNED_CONTENT=body"


OTHER_FORMS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("timestamp:body", lambda body: STAMP.encode() + b":" + body),
    ("timestamp and body without a dot", lambda body: STAMP.encode() + body),
    ("v0:timestamp:body", lambda body: b"v0:" + STAMP.encode() + b":" + body),
    ("body.timestamp", lambda body: body + b"." + STAMP.encode()),
]


@pytest.mark.parametrize(("words", "signed"), OTHER_FORMS)
def test_other_joins_of_timestamp_and_body_are_named_unsupported(
    words: str, signed: Callable[[bytes], bytes]
) -> None:
    finding = found({HEADER: b64(mac(signed(BODY))), "x-request-timestamp": STAMP})

    assert finding is not None
    assert finding.kind == "unsupported"
    assert words in finding.advice


def test_a_stale_timestamp_is_a_matter_of_the_clock() -> None:
    scheme = SignatureScheme(content="timestamp.body", timestamp_header="X-Timestamp")
    headers = sign(scheme, KEY, BODY, NOW - timedelta(seconds=4000))

    finding = found(headers, scheme=scheme)

    assert finding is not None
    assert finding.kind == "clock"
    assert "X-Timestamp is 4000 s behind this server's clock, 300 s are allowed" in finding.advice


def test_a_date_in_place_of_a_unix_time_is_unsupported() -> None:
    date = "Sun, 01 Mar 2026 12:00:00 GMT"
    finding = found({HEADER: b64(mac(date.encode() + b"." + BODY)), "date": date})

    assert finding is not None
    assert finding.kind == "unsupported"
    assert "no Unix time" in finding.advice


def test_timestamp_and_signature_in_one_header_are_unsupported() -> None:
    signature = mac(STAMP.encode() + b"." + BODY).hex()
    finding = found({"stripe-signature": f"t={STAMP},v1={signature}"})

    assert finding is not None
    assert finding.kind == "unsupported"
    assert "t=<timestamp>" in finding.advice


@pytest.mark.parametrize("joint", [", ", ","])
def test_a_doubled_signature_is_named(joint: str) -> None:
    finding = found({HEADER: b64(mac()) + joint + b64(mac())})

    assert finding is not None
    assert finding.kind == "doubled"
    assert "doubled" in finding.advice


WRITINGS: list[tuple[str, str]] = [
    ("base64url", base64.urlsafe_b64encode(mac(b"{}")).decode()),
    ("= at the end", b64(mac(b"{}")).rstrip("=")),
    ("hex text", b64(mac(b"{}").hex().encode())),
    ("quotes", f'"{b64(mac(b"{}"))}"'),
    ("percent-encoded", quote(b64(mac(b"{}")), safe="")),
    ("HMAC-SHA-1", hmac.new(KEY, b"{}", "sha1").hexdigest()),
    ("HMAC-SHA-512", b64(hmac.digest(KEY, b"{}", "sha512"))),
]


@pytest.mark.parametrize(("words", "value"), WRITINGS)
def test_writings_that_no_setting_reads_are_named_unsupported(words: str, value: str) -> None:
    finding = found({HEADER: value}, b"{}")

    assert finding is not None
    assert finding.kind == "unsupported"
    assert words in finding.advice


KEYS: list[tuple[bytes, bytes, str]] = [
    (b"abc\n", b"abc", "CXONE_SHARED_SECRET seems to end with a newline"),
    (b"abc \r\n", b"abc", "CXONE_SHARED_SECRET seems to end with a newline"),
    (b"abc", b"abc\n", "at CXone seems to end with a newline"),
    (b"abc", b"abc\r\n", "at CXone seems to end with CR and LF"),
    (b"abc", b"abc ", "at CXone seems to end with a blank"),
    (b" abc", b"abc", "blanks surround"),
    (b'"abc"', b"abc", "quotes surround"),
    (b"YWJjZGVm", b"abcdef", "from base64"),
    (b"whsec_YWJjZGVm", b"abcdef", "from base64"),
    (b"61626364", b"abcd", "from hex"),
    (b"\xef\xbb\xbfabc", b"abc", "byte order mark"),
    (b"abc", "abc".encode("utf-16-le"), "UTF-16"),
    (b"abc", b"", "empty secret"),
]


@pytest.mark.parametrize(("ours", "theirs", "words"), KEYS)
def test_a_secret_that_differs_a_little_is_named(ours: bytes, theirs: bytes, words: str) -> None:
    delivery = Delivery("d", BODY, {HEADER: b64(mac(key=theirs))}, NOW)

    finding = investigate(delivery, SCHEME, [Secret("current", ours)])

    assert finding is not None
    assert finding.kind == "secret"
    assert words in finding.advice


def test_the_setting_of_the_previous_secret_is_named() -> None:
    finding = found({HEADER: b64(mac(key=SECRETS[1].key + b"\n"))})

    assert finding is not None
    assert "CXONE_SHARED_SECRET_PREVIOUS" in finding.advice


def test_a_secret_sent_in_place_of_a_signature_is_named_and_not_shown() -> None:
    finding = found({"x-api-hash": "Bearer " + KEY.decode()})

    assert finding is not None
    assert finding.kind == "secret"
    assert KEY.decode() not in finding.advice


def compact(**options: Any) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps(json.loads(body), separators=(",", ":"), **options).encode()


REWRITINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("compact JSON", lambda b: b.replace(b", ", b",").replace(b": ", b":")),
    ("compact JSON with \\u escapes", lambda b: b'{"a":"\\u00e9"}'),
    ("indented by 2", lambda b: json.dumps({"a": "é"}, indent=2, ensure_ascii=False).encode()),
    ("LF", lambda b: b + b"\n"),
    ("CRLF", lambda b: b + b"\r\n"),
    ("with a byte order mark", lambda b: b"\xef\xbb\xbf" + b),
    ("(it arrived as UTF-8)", lambda b: b.decode().encode("latin-1")),
    ("UTF-16", lambda b: b.decode().encode("utf-16-le")),
    ("URL-encoded", lambda b: quote_plus(b).encode()),
    ("an empty body", lambda b: b""),
]


@pytest.mark.parametrize(("words", "signed"), REWRITINGS)
def test_a_rewritten_body_is_named(words: str, signed: Callable[[bytes], bytes]) -> None:
    arrived = '{"a": "é"}'.encode()
    finding = found({HEADER: b64(mac(signed(arrived)))}, arrived)

    assert finding is not None
    assert finding.kind == "body"
    assert words in finding.advice


ARRIVALS: list[tuple[str, bytes, bytes]] = [
    ("without its last line end", b"{}", b"{}\n"),
    ("LF line ends", b'{\n"a":1\n}', b'{\r\n"a":1\r\n}'),
    ("CRLF line ends", b'{\r\n"a":1\r\n}', b'{\n"a":1\n}'),
    ("without its byte order mark", b"{}", b"\xef\xbb\xbf{}"),
    ("UTF-8 (it arrived as Latin-1)", '{"a":"é"}'.encode(), '{"a":"é"}'.encode("latin-1")),
    ("Latin-1 (it arrived as UTF-8)", '{"a":"é"}'.encode(), '{"a":"Ã©"}'.encode()),
    ("Windows-1252 (it arrived as", b'{"a":"\x93"}', '{"a":"“"}'.encode()),
    ("sorted keys", b'{"a":1.10,"b":-0}', b'{"b":-0,"a":1.10}'),
    ("JavaScript", b'{"a":1,"b":2.5}', b'{"a": 1.0, "b": 2.5}'),
    ("escaped < > &", b'{"a":"\\u003cb\\u003e"}', b'{"a": "<b>"}'),
    ("System.Text.Json", b'{"a":"\\u00E9\\u0022\\u002B"}', '{"a": "é\\"+"}'.encode()),
    ("escaped slashes", b'{"a":"x\\/y"}', b'{"a": "x/y"}'),
    ("form-encoded", b'{"a":"b c"}', b"payload=%7B%22a%22%3A%22b+c%22%7D"),
    ("URL-decoded", b'{"a":"b c"}', b"%7B%22a%22%3A%22b+c%22%7D"),
    ("decompressed", b'{"a":1}', gzip.compress(b'{"a":1}')),
    ("inside the JSON string", b'{"a":1}', b'"{\\"a\\":1}"'),
]  # fmt: skip


@pytest.mark.parametrize(("words", "signed", "arrived"), ARRIVALS)
def test_a_body_changed_on_the_way_is_named(words: str, signed: bytes, arrived: bytes) -> None:
    finding = found({HEADER: b64(mac(signed))}, arrived)

    assert finding is not None
    assert finding.kind == "body"
    assert words in finding.advice


def test_two_differences_at_once_are_found_and_the_graver_names_the_kind() -> None:
    signed = BODY.replace(b", ", b",").replace(b": ", b":")
    finding = found({"x-hmac": mac(signed, KEY + b"\n").hex()})

    assert finding is not None
    assert finding.kind == "body"
    assert "CXONE_SIGNATURE_HEADER=X-Hmac and CXONE_SIGNATURE_ENCODING=hex" in finding.advice
    assert "at CXone seems to end with a newline" in finding.advice


def test_what_verifies_as_configured_has_nothing_to_be_found() -> None:
    assert found(sign(SCHEME, KEY, BODY, NOW)) is None


header_names = st.sampled_from([HEADER, "x-hub-signature-256", "x-hmac", "x-body-hash"])
bodies = st.binary(max_size=300) | st.dictionaries(st.text(), st.integers() | st.text()).map(
    lambda value: json.dumps(value).encode()
)


@given(
    body=bodies,
    key=st.binary(min_size=8, max_size=40),
    header=header_names,
    encoding=st.sampled_from(["base64", "hex"]),
    prefix=st.sampled_from(["", "sha256=", "sha256:", "v1="]),
    stamped=st.booleans(),
    previous=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_advised_settings_make_the_delivery_verify(
    body: bytes, key: bytes, header: str, encoding: Any, prefix: str, stamped: bool, previous: bool
) -> None:
    theirs = SignatureScheme(header=header, encoding=encoding, prefix=prefix)
    if stamped:
        theirs = replace(theirs, content="timestamp.body", timestamp_header="X-Timestamp")
    delivery = Delivery("d", body, _lower(sign(theirs, key, body, NOW)), NOW)
    secrets = [Secret("current", b"another one"), Secret("previous", key)][:: 1 if previous else -1]
    assume(replace(theirs, header=header.title()) != SCHEME)

    finding = investigate(delivery, SCHEME, secrets)

    assert finding is not None
    assert finding.kind == "settings"
    with_advice = Delivery("d", body, _Caseless(delivery.headers), NOW)
    assert verify(with_advice, with_settings(SCHEME, finding), secrets, NOW)


@given(
    body=st.binary(max_size=2000) | bodies,
    value=st.binary(min_size=32, max_size=32),
    junk=st.text(max_size=60),
    encoding=st.sampled_from(["hex", "base64", "list", "quoted"]),
)
@settings(max_examples=80, deadline=None)
def test_a_signature_by_a_stranger_finds_nothing(
    body: bytes, value: bytes, junk: str, encoding: str
) -> None:
    text = {
        "hex": value.hex(),
        "base64": b64(value),
        "list": f"t={STAMP},v1={value.hex()}",
        "quoted": f'"{b64(value)}"',
    }[encoding]

    assert found({HEADER: text, "x-hash": junk, "x-timestamp": junk}, body) is None


@given(body=st.binary(max_size=500), header=st.text(max_size=300), stamp=st.text(max_size=50))
@settings(max_examples=100, deadline=None)
def test_whatever_arrives_is_survived(body: bytes, header: str, stamp: str) -> None:
    found({HEADER: header, "x-timestamp": stamp}, body)


HOSTILE: list[bytes] = [
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"9" * 100_000,
    b"%" * 100_000,
    b"a=b&" * 25_000,
    b"\n" * 100_000,
    b'{"a":"\\ud800"}',
    b'{"a":1e999,"b":NaN}',
    gzip.compress(b"\0" * 5_000_000),
    b"{}" + b" \n" * 1_000_000,
    b"[0,1.5" + b",1.5" * 260_000 + b"]",
    json.dumps([{"id": n, "name": "Zoë", "w": 1.5} for n in range(2400)]).encode(),
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: repr(body[:8]))
def test_the_cost_of_a_hostile_body_is_bounded(body: bytes) -> None:
    headers = {HEADER: b64(bytes(32)), "x-timestamp": STAMP, "date": STAMP, "x-hash": "0" * 40}
    started = time.process_time()

    finding = found(headers, body)

    # Far above what is normal (30 ms), below what unbounded work would take.
    assert time.process_time() - started < 0.4
    assert finding is None


@pytest.mark.parametrize("value", [mac().hex(), "sha1=" + hashlib.sha1(BODY).hexdigest()])
def test_no_finding_holds_secret_signature_or_payload(value: str) -> None:
    finding = found({HEADER: value})

    if finding is not None:
        for hidden in (KEY.decode(), value, "contact.ended"):
            assert hidden not in repr(finding)


class _Caseless(dict[str, str]):
    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
