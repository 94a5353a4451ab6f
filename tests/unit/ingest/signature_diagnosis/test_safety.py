"""Whatever arrives, the detective advises only what verifies, soon, and shows no secret."""

from __future__ import annotations

import gzip
import hashlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.core.delivery import Delivery
from consumer.core.errors import SignatureError
from consumer.ingest.signature import Secret, SignatureScheme, sign, verify
from consumer.ingest.signature_diagnosis.claims import claims
from consumer.ingest.signature_diagnosis.search import investigate
from tests.support.evidence import (
    BODY,
    HEADER,
    KEY,
    NOW,
    SCHEME,
    STAMP,
    Caseless,
    b64,
    found,
    lower,
    mac,
    with_settings,
)

header_names = st.sampled_from([HEADER, "x-hub-signature-256", "x-hmac", "x-body-hash"])
bodies = st.binary(max_size=300) | st.dictionaries(st.text(), st.integers() | st.text()).map(
    lambda value: json.dumps(value).encode()
)


schemes = st.builds(
    SignatureScheme,
    header=header_names,
    encoding=st.sampled_from(["base64", "base64-unpadded", "base64url", "hex"]),
    prefix=st.sampled_from(["", "sha256=", "sha256:", "v1=", "v1,"]),
    signed=st.sampled_from(
        [
            "body",
            "timestamp.body",
            "{id}.{timestamp}.{body}",
            "v0:{timestamp}:{body}",
            "{id}.{body}",
        ]
    ),
    timestamp_header=st.just("X-Timestamp"),
    id_header=st.just("X-Event-Id"),
    several=st.booleans(),
)


@given(
    body=bodies,
    key=st.binary(min_size=8, max_size=40),
    theirs=schemes,
    ours=schemes | st.just(SCHEME),
    listed=st.booleans(),
    previous=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_advised_settings_make_the_delivery_verify(
    body: bytes,
    key: bytes,
    theirs: SignatureScheme,
    ours: SignatureScheme,
    listed: bool,
    previous: bool,
) -> None:
    headers = sign(theirs, key, body, NOW)
    if listed:
        headers[theirs.header] += f" {theirs.prefix}{b64(bytes(32))}"
    delivery = Delivery("d", body, Caseless(lower(headers)), NOW)
    secrets = [Secret("current", b"another one"), Secret("previous", key)][:: 1 if previous else -1]
    try:
        verify(delivery, ours, secrets, NOW)
    except SignatureError:
        finding = investigate(delivery, ours, secrets)
    else:
        return

    assert finding is not None
    assert finding.kind == "settings"
    assert verify(delivery, with_settings(ours, finding), secrets, NOW)


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
    gzip.compress(b"\0" * 5_000_000, mtime=0),
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


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        "A" * 27 + " ",
        "0" * 64 + ",",
        " ".join(f"v{n}," + b64(bytes([n] * 32)) for n in range(22)),
        "abcdefghijklmnopqrstuvwxyz1234=",
        ", ",
        "%41",
    ],
)
def test_the_cost_of_hostile_headers_is_bounded(value: str, several: bool) -> None:
    scheme = SignatureScheme(several=several, prefix="v1," if several else "")
    names = (HEADER, "x-timestamp", "x-time", "date", "event-id", "webhook-id", "x-hash", "x-hmac")
    headers = dict.fromkeys(names, (value * 1024)[:1024])
    timed = {**headers, "x-timestamp": STAMP, "date": STAMP, "event-id": "7", "webhook-id": "8"}
    assert len(claims(headers, scheme)) <= 12
    started = time.process_time()

    assert found(headers, scheme=scheme) is None
    assert found(timed, scheme=scheme) is None

    # Far above what is normal (15 ms).
    assert time.process_time() - started < 0.4


@pytest.mark.parametrize("value", [mac().hex(), "sha1=" + hashlib.sha1(BODY).hexdigest()])
def test_no_finding_holds_secret_signature_or_payload(value: str) -> None:
    finding = found({HEADER: value})

    if finding is not None:
        for hidden in (KEY.decode(), value, "contact.ended"):
            assert hidden not in repr(finding)
