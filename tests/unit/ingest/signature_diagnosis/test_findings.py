"""The detective finds what was wrong with a signature, and advises the setting that reads it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest

from config.signing import SecretFormat
from consumer.core.delivery import Delivery
from consumer.ingest.signature import Secret, SignatureScheme, sign
from consumer.ingest.signature_diagnosis import findings
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
    with_settings,
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


FORMS: list[tuple[str, str]] = [
    ("{timestamp}:{body}", f"{STAMP}:"),
    ("v0:{timestamp}:{body}", f"v0:{STAMP}:"),
    ("{timestamp}.{id}.{body}", f"{STAMP}.msg_7."),
    ("{id}.{timestamp}.{body}", f"msg_7.{STAMP}."),
    ("{id}.{body}", "msg_7."),
]


@pytest.mark.parametrize(("template", "before"), FORMS)
def test_other_joins_are_advised_as_a_template_with_its_headers(template: str, before: str) -> None:
    signature = b64(mac(before.encode() + BODY))

    advice = by({HEADER: signature, "x-ts": STAMP, "x-date": "no", "x-nexus-delivery-id": "msg_7"})

    time = " and CXONE_TIMESTAMP_HEADER=X-Ts" if "{timestamp}" in template else ""
    number = " and CXONE_SIGNED_ID_HEADER=X-Nexus-Delivery-Id" if "{id}" in template else ""
    assert advice == f"would verify with CXONE_SIGNED_CONTENT={template}{time}{number}"


def test_standard_webhooks_are_advised_whole() -> None:
    signature = b64(mac(f"msg_7.{STAMP}.".encode() + BODY, b"abcdef"))
    headers = {
        "webhook-id": "msg_7",
        "webhook-timestamp": STAMP,
        "webhook-signature": f"v1,{b64(bytes(32))} v1,{signature}",
    }

    finding = investigate(
        Delivery("d", BODY, headers, NOW), SCHEME, [Secret("current", b"whsec_YWJjZGVm")]
    )

    assert finding is not None
    assert finding.advice == (
        "would verify with CXONE_SIGNATURE_HEADER=Webhook-Signature"
        " and CXONE_SIGNATURE_PREFIX=v1, and CXONE_SEVERAL_SIGNATURES=on"
        " and CXONE_SIGNED_CONTENT={id}.{timestamp}.{body}"
        " and CXONE_TIMESTAMP_HEADER=Webhook-Timestamp and CXONE_SIGNED_ID_HEADER=Webhook-Id"
        " and CXONE_SECRET_FORMAT=whsec"
    )


TEMPLATE = SignatureScheme(
    signed="{id}.{timestamp}.{body}", timestamp_header="X-Time", id_header="X-Number"
)


def test_a_template_whose_parts_are_not_signed_after_all_is_advised() -> None:
    headers = {HEADER: b64(mac()), "x-time": STAMP, "x-number": "7"}

    assert by(headers, TEMPLATE) == "would verify with CXONE_SIGNED_CONTENT=body"


def test_a_template_is_tried_as_configured_with_other_secrets_and_bodies() -> None:
    before = f"7.{STAMP}.".encode()
    headers = {HEADER: b64(mac(before + BODY + b"\n", KEY)), "x-time": STAMP, "x-number": "7"}

    finding = found(headers, scheme=TEMPLATE)

    assert finding is not None
    assert finding.kind == "body"
    assert finding.settings == ()


def test_a_signed_id_with_a_dot_is_unsupported() -> None:
    signature = b64(mac(f"a.b.{STAMP}.".encode() + BODY))
    finding = found({HEADER: signature, "x-time": STAMP, "x-number": "a.b"}, scheme=TEMPLATE)

    assert finding is not None
    assert finding.kind == "unsupported"
    assert "the id in X-Number is signed and holds a dot" in finding.advice


@pytest.mark.parametrize(
    ("listed", "prefix"),
    [
        (f"sha256={'0' * 64}, sha256={{}}", "sha256="),
        ("t=5,v1={},v0=abc", "v1="),
        (f"v1,{'0' * 64} v1,{{}}", "v1,"),
        (f"{{}} {'0' * 64}", ""),
    ],
)
def test_a_list_of_signatures_is_advised(listed: str, prefix: str) -> None:
    named = f"CXONE_SIGNATURE_PREFIX={prefix} and " if prefix else ""

    for signature, scheme in (
        (mac().hex(), SignatureScheme(encoding="hex")),
        (b64(mac()), SignatureScheme()),
    ):
        advice = f"would verify with {named}CXONE_SEVERAL_SIGNATURES=on"
        assert by({HEADER: listed.format(signature)}, scheme) == advice
        reading = replace(scheme, prefix=prefix, several=True)
        assert found({HEADER: listed.format(signature)}, scheme=reading) is None


@pytest.mark.parametrize("listed", ["{};{}x", '"{}", "{}"', "({}, {})", f"{'v1=0,' * 20}v1={{}}"])
def test_a_list_that_no_setting_reads_is_named(listed: str) -> None:
    finding = found({HEADER: listed.replace("{}", b64(mac()), 1).replace("{}", b64(bytes(32)))})

    assert finding is not None
    assert finding.kind in {"doubled", "unsupported"}
    assert "CXONE_SEVERAL_SIGNATURES" not in finding.advice


OTHER_FORMS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("timestamp and body without a dot", lambda body: STAMP.encode() + body),
    ("timestamp, line end, body", lambda body: STAMP.encode() + b"\n" + body),
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


@pytest.mark.parametrize(
    ("encoding", "value"),
    [
        ("base64url", base64.urlsafe_b64encode(mac(b"{}")).decode()),
        ("base64url", base64.urlsafe_b64encode(mac(b"{}")).decode().rstrip("=")),
        ("base64-unpadded", b64(mac(b"{}")).rstrip("=")),
    ],
)
def test_other_kinds_of_base64_are_advised(encoding: str, value: str) -> None:
    finding = found({HEADER: value}, b"{}")

    assert finding is not None
    assert finding.advice == f"would verify with CXONE_SIGNATURE_ENCODING={encoding}"
    assert found({HEADER: value}, b"{}", with_settings(SCHEME, finding)) is None


WRITINGS: list[tuple[str, str]] = [
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


@pytest.mark.parametrize(
    ("ours", "theirs", "written"),
    [
        (b"YWJjZGVm", b"abcdef", "base64"),
        (b"whsec_YWJjZGVm", b"abcdef", "whsec"),
        (b"6a6b6c", b"jkl", "hex"),
    ],
)
def test_the_format_of_the_secrets_is_advised_where_it_can_be_that_of_all(
    ours: bytes, theirs: bytes, written: SecretFormat
) -> None:
    delivery = Delivery("d", BODY, {HEADER: b64(mac(key=theirs))}, NOW)
    as_text = Secret("current", ours)
    decoded = Secret("current", theirs, ours.decode())

    finding = investigate(delivery, SCHEME, [as_text])
    beside_another = investigate(delivery, SCHEME, [as_text, Secret("previous", b"not so!")])
    delivery = Delivery("d", BODY, {HEADER: b64(mac(key=ours))}, NOW)
    back = investigate(delivery, SCHEME, [decoded])

    assert finding is not None
    assert finding.advice == f"would verify with CXONE_SECRET_FORMAT={written}"
    assert beside_another is not None
    assert beside_another.kind == "secret"
    assert "the sender decodes the secret in CXONE_SHARED_SECRET" in beside_another.advice
    assert back is not None
    assert back.advice == "would verify with CXONE_SECRET_FORMAT=text"


def test_the_setting_of_the_previous_secret_is_named() -> None:
    finding = found({HEADER: b64(mac(key=SECRETS[1].key + b"\n"))})

    assert finding is not None
    assert "CXONE_SHARED_SECRET_PREVIOUS" in finding.advice


def test_a_secret_sent_in_place_of_a_signature_is_named_and_not_shown() -> None:
    finding = found({"x-api-hash": "Bearer " + KEY.decode()})

    assert finding is not None
    assert finding.kind == "secret"
    assert KEY.decode() not in finding.advice
    delivery = Delivery("d", BODY, {"x-api-hash": "whsec_YWJjZGVm"}, NOW)
    decoded = investigate(delivery, SCHEME, [Secret("current", b"abcdef", "whsec_YWJjZGVm")])
    assert decoded is not None
    assert "carries the secret of CXONE_SHARED_SECRET itself" in decoded.advice


def test_what_verifies_as_configured_has_nothing_to_be_found() -> None:
    assert found(sign(SCHEME, KEY, BODY, NOW)) is None


def test_a_finding_about_a_source_names_the_keys_of_its_table() -> None:
    settings = found({"x-hmac": f"{mac().hex()} {'0' * 64}"})
    secret = found({HEADER: b64(mac(key=SECRETS[1].key + b"\n"))})

    assert settings is not None
    assert findings.in_table_of("voice", settings).advice == (
        "[sources.voice]: would verify with header=X-Hmac and encoding=hex and several=on"
    )
    assert dict(findings.in_table_of("voice", settings).settings)["several"] == "on"
    assert secret is not None
    assert "that secret_previous does not have" in findings.in_table_of("voice", secret).advice
