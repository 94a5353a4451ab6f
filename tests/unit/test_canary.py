from __future__ import annotations

import json
from datetime import datetime, timezone

import msgspec
import pytest

from consumer.errors import SignatureInvalid, SignatureMissing
from consumer.events import Delivery, Headers, Verdict
from consumer.signature import Secret, SignatureScheme, verify
from consumer.web import canary

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
SCHEME = SignatureScheme()
KEY = b"a-secret-of-some-length"
BODY = canary.body("n0nce")


def sent(body: bytes = BODY, **changed: str | None) -> Delivery:
    headers = canary.headers(SCHEME, KEY, BODY, NOW)
    for name, value in changed.items():
        headers.pop(name.replace("_", "-"), None)
        if value is not None:
            headers[name.replace("_", "-")] = value
    return Delivery("d", body, Headers(headers), NOW)


def compact(body: bytes) -> bytes:
    return json.dumps(json.loads(body), separators=(",", ":"), sort_keys=True).encode()


def test_a_canary_that_arrives_as_sent_verifies_and_says_so() -> None:
    delivery = sent()
    verdict = verify(delivery, SCHEME, [Secret("current", KEY)], NOW)

    status, facts = canary.answer(delivery, delivery.verified(verdict))

    assert canary.is_canary(delivery)
    assert status == 200
    assert facts["verified"] is True
    assert facts["body"] == "as sent"
    assert facts["body_length"] == len(BODY)
    assert facts["secret"] == "current"


def test_a_canary_whose_body_was_rewritten_is_known_by_its_first_key() -> None:
    delivery = sent(compact(BODY), X_Cxone_Consumer_Canary=None)

    status, facts = canary.answer(delivery, SignatureInvalid("no"))

    assert canary.is_canary(delivery)
    assert (status, facts["body"], facts["reason"]) == (401, "unknown", "signature_invalid")


def test_a_canary_without_its_body_is_known_by_its_header_and_signature() -> None:
    delivery = sent(b"")

    _, facts = canary.answer(delivery, SignatureInvalid("no"))

    assert canary.is_canary(delivery)
    assert facts["body"] == "changed"
    assert facts["body_length"] == 0


def test_a_header_that_vanished_is_absent_from_the_report() -> None:
    _, facts = canary.answer(sent(X_Nice_Webhook_Signature=None), SignatureMissing("no"))

    headers = facts["headers"]
    assert isinstance(headers, dict)
    assert "x-cxone-consumer-canary" in headers
    assert "x-nice-webhook-signature" not in headers


def test_an_event_sent_with_the_canary_header_by_mistake_is_no_canary() -> None:
    told = canary.headers(SCHEME, KEY, BODY, NOW)[canary.HEADER]
    body = b'{"id":"1","type":"contact.created"}'
    headers = {**canary.headers(SCHEME, KEY, body, NOW), canary.HEADER: told}

    assert not canary.is_canary(Delivery("d", body, Headers(headers), NOW))


@pytest.mark.parametrize("told", ["", "x", "0" * 64, f"{'0' * 64}.{'0' * 64}"])
def test_an_odd_canary_header_alone_makes_no_canary(told: str) -> None:
    assert not canary.is_canary(sent(b'{"id":"1"}', X_Cxone_Consumer_Canary=told))


def test_an_event_that_mentions_the_marker_late_is_no_canary() -> None:
    body = b'{"id":"1","type":"contact.created","note":"' + b"x" * 40 + canary.MARKER + b'"}'

    assert not canary.is_canary(Delivery("d", body, Headers({}), NOW))


def test_the_report_holds_no_header_value_but_transport_facts() -> None:
    delivery = sent(Content_Encoding="gzip")
    signature = delivery.headers[SCHEME.header]
    verified = msgspec.structs.replace(delivery, verdict=Verdict("current", NOW))

    text = json.dumps(canary.report(delivery, verified))

    assert signature not in text
    assert KEY.decode() not in text
    assert '"content-encoding": "gzip"' in text


def test_the_canary_is_changed_by_each_usual_rewriting() -> None:
    rewritten = [
        compact(BODY),
        json.dumps(json.loads(BODY), ensure_ascii=False).encode(),
        BODY.rstrip(),
        BODY.replace(b"\r\n", b"\n"),
        BODY.decode("utf-8").encode("latin-1", "replace"),
    ]

    assert BODY not in rewritten
    assert all(canary.is_canary(sent(body, X_Cxone_Consumer_Canary=None)) for body in rewritten)
