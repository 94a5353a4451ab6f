"""Send a probe through the user's proxy and say what became of its bytes and headers."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from consumer.doctor.check import Check, Target
from consumer.doctor.post import Answer, Silence, explain, post
from consumer.http import probe
from consumer.ingest.signature import SignatureScheme, covers
from consumer.ingest.signature_diagnosis.bodies import bodies

NAME = "way from outside"
_TIMEOUT = 10.0
# Some senders give up after this many seconds (NICE's own material).
_SLOW_AFTER = 1.0
_RAW = "let the proxy pass on the body byte for byte (no rewriting, filtering or decompression)"


def examine(target: Target) -> Iterator[Check]:
    if target.url is None:
        return
    if not target.secrets:
        yield Check(NAME, "skip", "needs CXONE_SHARED_SECRET to sign with")
        return
    body = probe.body(secrets.token_hex(8))
    headers = probe.headers(target.scheme, target.secrets[0].key, body, target.clock())
    answer = post(target.url, body, headers, _TIMEOUT)
    if isinstance(answer, Silence):
        yield Check(NAME, "fail", f"{target.url}: {answer.cause}", answer.advice)
        return
    facts = _facts(answer)
    if facts is None:
        finding, advice = explain(answer)
        yield Check(NAME, "fail", f"{target.url}: {finding}", advice)
        return
    yield from judge(facts, body, headers, target.scheme)
    yield from _speed_and_scheme(target.url, answer)


def judge(
    facts: Mapping[str, Any], body: bytes, sent: Mapping[str, str], scheme: SignatureScheme
) -> Iterator[Check]:
    """Judge the way by the report on a probe, given the body and headers that were sent."""
    changes = [*_body_changes(facts, body), *_header_changes(facts, sent, scheme)]
    yield from changes
    if facts.get("verified"):
        finding = "the canary arrived and its signature verified; it was not stored"
        if facts.get("secret") == "previous":
            finding += " (by the previous secret: the service has a newer one)"
        yield Check(NAME, "ok", finding)
    elif not any(change.status == "fail" for change in changes):
        yield Check(
            NAME,
            "fail",
            "bytes and signature arrived as sent, but the service there refuses them",
            "it runs with another secret, other signature settings or another clock than this"
            " command: compare both, restart the service after a change",
        )


def _facts(answer: Answer) -> Mapping[str, Any] | None:
    """The report on the probe in an answer; None when something else answered."""
    try:
        facts = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    is_report = isinstance(facts, dict) and facts.get("status") == "canary"
    return facts if is_report and isinstance(facts.get("headers"), dict) else None


def _body_changes(facts: Mapping[str, Any], body: bytes) -> Iterator[Check]:
    arrived = facts.get("body_sha256")
    if arrived == hashlib.sha256(body).hexdigest():
        return
    known = next(
        (what for what, variant in bodies(body) if hashlib.sha256(variant).hexdigest() == arrived),
        None,
    )
    finding = (
        f"the body changed on the way: {len(body)} bytes left, {facts.get('body_length')} arrived"
    )
    if known:
        finding += f", as {known}"
    transport = facts.get("transport")
    if isinstance(transport, dict) and transport.get("content-encoding"):
        finding += "; a Content-Encoding was added"
    yield Check(NAME, "fail", finding, _RAW)


def _header_changes(
    facts: Mapping[str, Any], sent: Mapping[str, str], scheme: SignatureScheme
) -> Iterator[Check]:
    arrived = facts["headers"]
    for name, value in sent.items():
        key = name.lower()
        if key in probe.TRANSPORT or (key == probe.HEADER.lower() and key in arrived):
            continue
        proves = key == scheme.header.lower() or covers(scheme, name)
        status, digest = "fail" if proves else "warn", arrived.get(key)
        if digest is None:
            yield Check(
                NAME,
                "fail" if status == "fail" else "warn",
                f"the header {name} did not arrive",
                "let the proxy pass it on (nginx drops names with _ unless told otherwise)",
            )
        elif digest in (
            probe.digest_of(f"{value}, {value}"),
            probe.digest_of(f"{value},{value}"),
        ):
            yield Check(
                NAME,
                "fail",
                f"the header {name} arrived twice",
                "let the proxy set it once: it is passed on and added as well",
            )
        elif digest != probe.digest_of(value):
            yield Check(
                NAME,
                "fail",
                f"the header {name} was changed on the way",
                "let the proxy pass it on as it is",
            )


def _speed_and_scheme(url: str, answer: Answer) -> Iterator[Check]:
    if answer.seconds > _SLOW_AFTER:
        yield Check(
            NAME,
            "warn",
            f"the answer took {answer.seconds:.1f} s",
            "some senders give up after 1 s: look at the proxy and at this service's load",
        )
    if url.startswith("http://"):
        yield Check(
            NAME, "warn", "the URL is plain HTTP", "put HTTPS in front: payloads hold personal data"
        )
