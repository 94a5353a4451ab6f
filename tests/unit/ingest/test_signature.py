from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.signing import Encoding
from consumer.core.delivery import Delivery, Headers
from consumer.core.errors import SignatureError, SignatureInvalid, SignatureMissing
from consumer.ingest.signature import (
    Secret,
    SignatureScheme,
    covers,
    sign,
    unix_time,
    verify,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
KEY = b"a shared secret"
SECRETS = (Secret("current", KEY),)
CXONE = SignatureScheme()
STAMPED = SignatureScheme(signed="timestamp.body", timestamp_header="X-Timestamp")


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


# The example of the specification of Standard Webhooks, in the libraries of all languages.
WEBHOOKS = SignatureScheme(
    header="webhook-signature",
    prefix="v1,",
    signed="{id}.{timestamp}.{body}",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    several=True,
)
WEBHOOK_KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
WEBHOOK_AT = datetime.fromtimestamp(1614265330, timezone.utc)
WEBHOOK_BODY = b'{"test": 2432232314}'
WEBHOOK_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def webhook(headers: dict[str, str], body: bytes = WEBHOOK_BODY) -> str:
    delivery = Delivery("d", body, Headers({**WEBHOOK_HEADERS, **headers}), WEBHOOK_AT)
    return verify(delivery, WEBHOOKS, (Secret("current", WEBHOOK_KEY),), WEBHOOK_AT).secret


@pytest.mark.parametrize(
    "listed",
    [
        "{}",
        "v1,bm9uc2Vuc2U= {}",
        "{} v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw",
        " {}  v1,x ",
        "v1,, {}",
    ],
)
def test_the_example_of_standard_webhooks_verifies_in_any_place_of_a_list(listed: str) -> None:
    signature = WEBHOOK_HEADERS["webhook-signature"]

    assert webhook({"webhook-signature": listed.format(signature)})


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJel"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-signature": WEBHOOK_HEADERS["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": WEBHOOK_HEADERS["webhook-signature"].replace("v1,", "")},
        {"webhook-signature": WEBHOOK_HEADERS["webhook-signature"].rstrip("=")},
        {"webhook-signature": "v1,x " * 16 + WEBHOOK_HEADERS["webhook-signature"]},
        {"webhook-signature": ", ,,\t"},
    ],
)
def test_what_differs_from_the_example_is_invalid(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        webhook(headers)


def test_sixteen_signatures_are_read() -> None:
    signature = WEBHOOK_HEADERS["webhook-signature"]

    assert webhook({"webhook-signature": "v1,x " * 15 + signature})


def test_an_id_with_a_dot_is_invalid_for_the_same_bytes_would_be_another_body() -> None:
    stamp = str(int(NOW.timestamp()))
    signature = "v1," + base64_hmac(WEBHOOK_KEY, f"a.{stamp}.{stamp}.{{}}".encode())
    right = {"webhook-timestamp": stamp, "webhook-signature": signature}

    def outcome(number: str, body: bytes) -> str:
        given = delivery(body, {**right, "webhook-id": number})
        return verify(given, WEBHOOKS, (Secret("current", WEBHOOK_KEY),), NOW).secret

    assert outcome("a", f"{stamp}.{{}}".encode())
    with pytest.raises(SignatureInvalid, match="dot"):
        outcome(f"a.{stamp}", b"{}")
    with pytest.raises(SignatureMissing, match="Missing webhook-id header"):
        outcome(" ", b"{}")


def test_an_id_holds_not_what_ends_it() -> None:
    scheme = replace(WEBHOOKS, signed="{id}:{body}", prefix="")
    headers = {"webhook-signature": base64_hmac(KEY, b"a:b:{}"), "webhook-id": "a:b"}

    dotted = {"webhook-signature": base64_hmac(KEY, b"a.b:{}"), "webhook-id": "a.b"}

    for refused in (headers, dotted):
        with pytest.raises(SignatureInvalid, match="ends the id"):
            verify(delivery(b"{}", refused), scheme, SECRETS, NOW)
    assert verify(delivery(b"b:{}", {**headers, "webhook-id": "a"}), scheme, SECRETS, NOW)


@pytest.mark.parametrize(
    ("encoding", "taken", "refused"),
    [
        ("base64", ["+/8="], ["-_8=", "+/8", "-_8"]),
        ("base64-unpadded", ["+/8=", "+/8"], ["-_8=", "-_8", "+/8=="]),
        ("base64url", ["-_8=", "-_8"], ["+/8=", "+/8", "-_8=="]),
    ],
)
def test_each_base64_takes_its_alphabet_and_its_ends(
    encoding: Encoding, taken: list[str], refused: list[str]
) -> None:
    # Of a body whose signature has all that differs.
    body = next(b"%d" % n for n in range(10_000) if {"+", "/"} <= set(base64_hmac(KEY, b"%d" % n)))
    full = base64_hmac(KEY, body)
    url = full.replace("+", "-").replace("/", "_")

    def value(form: str) -> str:
        text = url if "-" in form else full
        return text.rstrip("=") + "=" * form.count("=")

    scheme = SignatureScheme(encoding=encoding)
    for form in taken:
        assert verify(delivery(body, {CXONE.header: value(form)}), scheme, SECRETS, NOW)
    for form in refused:
        with pytest.raises(SignatureInvalid):
            verify(delivery(body, {CXONE.header: value(form)}), scheme, SECRETS, NOW)


@pytest.mark.parametrize("joint", [" ", ",", ", ", "\t"])
def test_equal_headers_that_were_joined_verify_as_a_list(joint: str) -> None:
    scheme = SignatureScheme(encoding="hex", prefix="sha256=", several=True)
    right = "sha256=" + hmac.new(KEY, b"{}", "sha256").hexdigest().upper()

    for listed in (f"{right}{joint}sha256=0", f"t=5{joint}{right}", f"{right}{joint}{right}"):
        assert verify(delivery(b"{}", {CXONE.header: listed}), scheme, SECRETS, NOW)
        with pytest.raises(SignatureInvalid):
            verify(
                delivery(b"{}", {CXONE.header: listed}),
                replace(scheme, several=False),
                SECRETS,
                NOW,
            )


def test_a_signature_as_expert_sends_it_verifies() -> None:
    expert = SignatureScheme(
        header="X-Nexus-Signature-256",
        encoding="hex",
        prefix="sha256=",
        signed="timestamp.body",
        timestamp_header="X-Nexus-Timestamp",
    )
    stamp = str(int(NOW.timestamp()))
    mac = hmac.new(KEY, f"{stamp}.{{}}".encode(), "sha256").hexdigest()
    headers = {"x-nexus-signature-256": f"sha256={mac}", "x-nexus-timestamp": stamp}

    assert verify(delivery(b"{}", headers), expert, SECRETS, NOW)
    assert covers(expert, "x-nexus-timestamp")
    assert not covers(expert, "X-Nexus-Delivery-Id")


def test_a_header_is_covered_where_the_template_has_it() -> None:
    assert covers(WEBHOOKS, "Webhook-Id")
    assert not covers(replace(WEBHOOKS, signed="timestamp.body"), "webhook-id")
    assert not covers(replace(WEBHOOKS, signed="body"), "webhook-timestamp")
    assert not covers(CXONE, CXONE.header)


def test_unix_time_reads_seconds_and_milliseconds() -> None:
    assert unix_time("1777636800") == unix_time("1777636800000") == NOW


@given(body=st.binary(max_size=200), key=st.binary(min_size=1, max_size=80))
def test_what_sign_makes_verify_accepts(body: bytes, key: bytes) -> None:
    for scheme in (
        CXONE,
        STAMPED,
        SignatureScheme(encoding="hex", prefix="sha256="),
        SignatureScheme(encoding="base64url"),
        SignatureScheme(encoding="base64-unpadded", several=True),
        WEBHOOKS,
    ):
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
