from __future__ import annotations

import json
from datetime import datetime, timezone

import msgspec
import pytest

from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.core.errors import SignatureInvalid, SignatureMissing
from consumer.http import probe
from consumer.ingest.signature import Secret, SignatureScheme, verify

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
SCHEME = SignatureScheme()
KEY = b"a-secret-of-some-length"
BODY = probe.body("n0nce")


def sent(body: bytes = BODY, **changed: str | None) -> Delivery:
    headers = probe.headers(SCHEME, KEY, BODY, NOW)
    for name, value in changed.items():
        headers.pop(name.replace("_", "-"), None)
        if value is not None:
            headers[name.replace("_", "-")] = value
    return Delivery("d", body, Headers(headers), NOW)


def compact(body: bytes) -> bytes:
    return json.dumps(json.loads(body), separators=(",", ":"), sort_keys=True).encode()


def answered(delivery: Delivery, *, verified: bool = False) -> tuple[int, dict[str, object]]:
    """The answer to what is taken for a probe."""
    verdict = delivery.verified(Verdict("current", NOW)) if verified else SignatureInvalid("no")
    answer = probe.answer(delivery, verdict)
    assert probe.is_suspect(delivery)
    assert answer is not None
    return answer


def is_probe(delivery: Delivery, *, verified: bool) -> bool:
    verdict = delivery.verified(Verdict("current", NOW)) if verified else SignatureInvalid("no")
    return probe.is_suspect(delivery) and probe.answer(delivery, verdict) is not None


def test_a_probe_that_arrives_as_sent_verifies_and_says_so() -> None:
    delivery = sent()
    verify(delivery, SCHEME, [Secret("current", KEY)], NOW)

    status, facts = answered(delivery, verified=True)

    assert status == 200
    assert facts["verified"] is True
    assert facts["body"] == "as sent"
    assert facts["body_length"] == len(BODY)
    assert facts["secret"] == "current"


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"c1","type":"t","name":"cxone_consumer_canary"}',
        b'{"cxone_consumer_canary":"n0nce","id":"c1","type":"t"}',
        compact(BODY),
        BODY.rstrip(),
        BODY + b" ",
        probe.body(""),
        probe.body("n 0"),
        probe.body('","id":"c1","type":"t","x":"'),
        probe.body("n" * 65),
        BODY.replace(b'"none":null', b'"id":"c1","type":"t","none":null'),
        b"",
    ],
)
def test_what_verified_is_a_probe_only_byte_for_byte(body: bytes) -> None:
    assert not is_probe(sent(body), verified=True)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"c1","type":"t","name":"cxone_consumer_canary"}',
        b'{"cxone_consumer_canary":"n0nce","id":"c1","type":"t"}',
        BODY.replace(b'"none":null', b'"id":"c1","type":"t","none":null'),
        b'{"cxone_consumer_canary":' + b"[" * 4000,
        b'["cxone_consumer_canary"]',
    ],
)
def test_what_did_not_verify_is_no_probe_by_a_word_in_it(body: bytes) -> None:
    assert not is_probe(sent(body, X_Cxone_Consumer_Canary=None), verified=False)


def test_a_probe_whose_body_was_rewritten_is_known_by_its_keys() -> None:
    status, facts = answered(sent(compact(BODY), X_Cxone_Consumer_Canary=None))

    assert (status, facts["body"], facts["reason"]) == (401, "unknown", "signature_invalid")


def test_a_probe_without_its_body_is_known_by_its_header_and_signature() -> None:
    status, facts = answered(sent(b""))

    assert (status, facts["body"], facts["body_length"]) == (401, "changed", 0)


def test_a_header_that_vanished_is_absent_from_the_report() -> None:
    facts = probe.report(sent(X_Nice_Webhook_Signature=None), SignatureMissing("no"))

    headers = facts["headers"]
    assert isinstance(headers, dict)
    assert "x-cxone-consumer-canary" in headers
    assert "x-nice-webhook-signature" not in headers


@pytest.mark.parametrize("verified", [True, False])
def test_an_event_sent_with_the_probe_header_by_mistake_is_no_probe(verified: bool) -> None:
    told = probe.headers(SCHEME, KEY, BODY, NOW)[probe.HEADER]
    body = b'{"id":"1","type":"contact.created"}'
    headers = {**probe.headers(SCHEME, KEY, body, NOW), probe.HEADER: told}

    assert not is_probe(Delivery("d", body, Headers(headers), NOW), verified=verified)


@pytest.mark.parametrize("told", ["", "x", "0" * 64, f"{'0' * 64}.{'0' * 64}"])
def test_an_odd_probe_header_alone_makes_no_probe(told: str) -> None:
    delivery = sent(b'{"id":"1"}', X_Cxone_Consumer_Canary=told)

    assert not is_probe(delivery, verified=False)


def test_the_report_holds_no_header_value_but_transport_facts() -> None:
    delivery = sent(Content_Encoding="gzip")
    signature = delivery.headers[SCHEME.header]
    verified = msgspec.structs.replace(delivery, verdict=Verdict("current", NOW))

    text = json.dumps(probe.report(delivery, verified))

    assert signature not in text
    assert KEY.decode() not in text
    assert '"content-encoding": "gzip"' in text


def test_the_probe_is_changed_by_each_usual_rewriting() -> None:
    rewritten = [
        compact(BODY),
        json.dumps(json.loads(BODY), ensure_ascii=False).encode(),
        BODY.rstrip(),
        BODY.replace(b"\r\n", b"\n"),
        BODY.decode("utf-8").encode("latin-1", "replace"),
    ]

    assert BODY not in rewritten
    assert all(
        is_probe(sent(body, X_Cxone_Consumer_Canary=None), verified=False) for body in rewritten
    )
