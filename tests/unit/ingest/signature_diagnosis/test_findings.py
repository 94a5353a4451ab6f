"""The detective finds what was wrong with a signature, and advises the setting that reads it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

import pytest

from consumer.core.delivery import Delivery
from consumer.ingest.signature import Secret, SignatureScheme, sign
from consumer.ingest.signature_diagnosis.search import investigate
from tests.support.evidence import (
    BODY,
    HEADER,
    KEY,
    NOW,
    SCHEME,
    SECRETS,
    STAMP,
    b64,
    by,
    found,
    mac,
)


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
    scheme = SignatureScheme(signed="timestamp.body", timestamp_header="X-Timestamp")

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
    scheme = SignatureScheme(signed="timestamp.body", timestamp_header="X-Timestamp")
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


def test_what_verifies_as_configured_has_nothing_to_be_found() -> None:
    assert found(sign(SCHEME, KEY, BODY, NOW)) is None
