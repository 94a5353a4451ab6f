from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.delivery import Delivery, Headers
from consumer.core.errors import SignatureError, SignatureInvalid, SignatureMissing
from consumer.ingest.signature import Secret, SignatureScheme, sign, unix_time, verify

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
KEY = b"a shared secret"
SECRETS = (Secret("current", KEY),)
CXONE = SignatureScheme()
STAMPED = SignatureScheme(content="timestamp.body", timestamp_header="X-Timestamp")


def delivery(body: bytes, headers: dict[str, str]) -> Delivery:
    return Delivery("d", body, Headers(headers), NOW)


def base64_hmac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


def test_cxone_signature_is_base64_hmac_sha256_over_the_raw_body() -> None:
    # RFC 4231, test case 2: an outside word on what HMAC-SHA256 is.
    mac = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    body = b"what do ya want for nothing?"
    headers = {"x-nice-webhook-signature": base64.b64encode(mac).decode()}

    verdict = verify(delivery(body, headers), CXONE, (Secret("current", b"Jefe"),), NOW)

    assert verdict.secret == "current"
    assert verdict.verified_at == NOW


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        (
            SignatureScheme(encoding="hex"),
            {CXONE.header: hmac.new(KEY, b"{}", "sha256").hexdigest()},
        ),
        (
            SignatureScheme(encoding="hex"),
            {CXONE.header: hmac.new(KEY, b"{}", "sha256").hexdigest().upper()},
        ),
        (
            SignatureScheme(header="X-Hub-Signature-256", encoding="hex", prefix="sha256="),
            {"X-Hub-Signature-256": "sha256=" + hmac.new(KEY, b"{}", "sha256").hexdigest()},
        ),
        (
            SignatureScheme(encoding="hex", prefix="SHA256="),
            {CXONE.header: "SHA256=" + hmac.new(KEY, b"{}", "sha256").hexdigest().upper()},
        ),
        (
            STAMPED,
            {
                "X-Timestamp": str(int(NOW.timestamp())),
                CXONE.header: base64_hmac(KEY, f"{int(NOW.timestamp())}.".encode() + b"{}"),
            },
        ),
        (
            STAMPED,
            {
                "X-Timestamp": str(int(NOW.timestamp() * 1000)),
                CXONE.header: base64_hmac(KEY, f"{int(NOW.timestamp() * 1000)}.".encode() + b"{}"),
            },
        ),
    ],
)
def test_each_variant_of_the_settings_verifies(
    scheme: SignatureScheme, headers: dict[str, str]
) -> None:
    assert verify(delivery(b"{}", headers), scheme, SECRETS, NOW).secret == "current"


def test_previous_secret_still_verifies_and_is_named() -> None:
    secrets = (Secret("current", b"new"), Secret("previous", KEY))

    verdict = verify(delivery(b"{}", sign(CXONE, KEY, b"{}", NOW)), CXONE, secrets, NOW)

    assert verdict.secret == "previous"


GOOD = sign(CXONE, KEY, b"{}", NOW)[CXONE.header]


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "Ünïcode",
        "\x00\x01\xff",
        f"{GOOD}, {GOOD}",
        GOOD + "A",
        GOOD[:-1],
        GOOD.rstrip("="),
        GOOD.lower(),
        "sha256=" + GOOD,
        "A" * 100_000,
    ],
)
def test_wrong_signatures_are_invalid_whatever_their_bytes(value: str) -> None:
    with pytest.raises(SignatureInvalid):
        verify(delivery(b"{}", {CXONE.header: value}), CXONE, SECRETS, NOW)


@pytest.mark.parametrize("headers", [{}, {CXONE.header: ""}, {"X-Other": GOOD}])
def test_delivery_without_the_header_says_which_one_is_missing(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureMissing, match="Missing X-Nice-Webhook-Signature header"):
        verify(delivery(b"{}", headers), CXONE, SECRETS, NOW)


@pytest.mark.parametrize("age", [-301, 301])
def test_timestamp_out_of_tolerance_is_invalid_though_its_hmac_is_right(age: int) -> None:
    headers = sign(STAMPED, KEY, b"{}", NOW - timedelta(seconds=age))

    with pytest.raises(SignatureInvalid, match="300 s"):
        verify(delivery(b"{}", headers), STAMPED, SECRETS, NOW)


@pytest.mark.parametrize("stamp", ["soon", "1.5", "-1", "٣", "9" * 400, "1e9", "0x10"])
def test_timestamp_that_is_no_unix_time_is_invalid(stamp: str) -> None:
    headers = {**sign(STAMPED, KEY, b"{}", NOW), "X-Timestamp": stamp}

    with pytest.raises(SignatureInvalid):
        verify(delivery(b"{}", headers), STAMPED, SECRETS, NOW)


def test_missing_timestamp_header_is_named() -> None:
    headers = {CXONE.header: GOOD}

    with pytest.raises(SignatureMissing, match="Missing X-Timestamp header"):
        verify(delivery(b"{}", headers), STAMPED, SECRETS, NOW)


def test_changing_the_signed_timestamp_breaks_the_signature() -> None:
    headers = sign(STAMPED, KEY, b"{}", NOW)
    headers["X-Timestamp"] = str(int(headers["X-Timestamp"]) + 1)

    with pytest.raises(SignatureInvalid):
        verify(delivery(b"{}", headers), STAMPED, SECRETS, NOW)


def test_unix_time_reads_seconds_and_milliseconds() -> None:
    assert unix_time("1777636800") == unix_time("1777636800000") == NOW


@given(body=st.binary(max_size=200), key=st.binary(min_size=1, max_size=80))
def test_what_sign_makes_verify_accepts(body: bytes, key: bytes) -> None:
    for scheme in (CXONE, STAMPED, SignatureScheme(encoding="hex", prefix="sha256=")):
        headers = sign(scheme, key, body, NOW)
        assert verify(delivery(body, headers), scheme, (Secret("current", key),), NOW)


@given(
    body=st.binary(min_size=1, max_size=200),
    bit=st.integers(0, 8 * 200 - 1),
)
def test_one_flipped_bit_of_the_body_is_refused(body: bytes, bit: int) -> None:
    headers = sign(CXONE, KEY, body, NOW)
    flipped = bytearray(body)
    flipped[bit // 8 % len(body)] ^= 1 << bit % 8

    with pytest.raises(SignatureInvalid):
        verify(delivery(bytes(flipped), headers), CXONE, SECRETS, NOW)


@given(value=st.text(st.characters(max_codepoint=255), max_size=120))
def test_no_header_text_raises_anything_but_a_signature_error(value: str) -> None:
    with pytest.raises(SignatureError):
        verify(delivery(b"{}", {CXONE.header: value}), CXONE, (Secret("current", b"k"),), NOW)


@pytest.mark.parametrize(("off", "right"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_a_signed_time_counts_up_to_the_tolerance_itself(off: int, right: bool) -> None:
    headers = sign(STAMPED, KEY, b"{}", NOW + timedelta(seconds=off))

    if right:
        assert verify(delivery(b"{}", headers), STAMPED, SECRETS, NOW)
    else:
        with pytest.raises(SignatureInvalid, match="300 s off"):
            verify(delivery(b"{}", headers), STAMPED, SECRETS, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("99999999999", 99_999_999_999.0),
        ("100000000000", 100_000_000.0),
        ("00000000000000001", 1.0),
        ("000000000000000001", None),
    ],
)
def test_a_unix_time_is_read_as_milliseconds_from_twelve_digits_on_and_bounded(
    text: str, seconds: float | None
) -> None:
    found = unix_time(text)

    assert (None if found is None else found.timestamp()) == seconds
