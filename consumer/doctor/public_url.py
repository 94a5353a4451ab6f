"""Send a probe through the user's proxy and say what became of its bytes and headers."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from config.signing import HEADER
from config.sources import MAIN_PATH, TOKEN_PATH, SourceSettings
from consumer.core.delivery import MAIN
from consumer.doctor.check import Check, Target
from consumer.doctor.post import Answer, Silence, explain, post
from consumer.http import probe
from consumer.ingest.signature import SignatureScheme, covers
from consumer.ingest.signature_diagnosis.bodies import bodies
from consumer.runtime.proving import prover, read_token, token_request, url_beside
from consumer.runtime.settings_map import signature_scheme

NAME = "way from outside"
_TIMEOUT = 10.0
# Some senders give up after this many seconds (NICE's own material).
_SLOW_AFTER = 1.0
_RAW = "let the proxy pass on the body byte for byte (no rewriting, filtering or decompression)"


def examine(target: Target) -> Iterator[Check]:
    """The way of each source, by the path that it posts to."""
    if target.url is None:
        return
    every = target.settings.every_source
    at = urlsplit(target.url).path.rstrip("/")
    known = next((each.path for each in every.values() if at.endswith(each.path)), "")
    for name, source in every.items():
        # The address may be none of ours, where a proxy calls it otherwise: then it is main's.
        is_given = name == MAIN and not known
        url = target.url if is_given else url_beside(target.url, known or MAIN_PATH, source.path)
        for check in _way(target, name, source, url):
            yield check if name == MAIN else replace(check, finding=f"{name}: {check.finding}")


def _way(target: Target, name: str, source: SourceSettings, url: str) -> Iterator[Check]:
    if source.secret is None:
        yield Check(NAME, "skip", "needs CXONE_SHARED_SECRET to sign with")
        return
    token = ""
    if source.proof == "oauth2":
        address = url_beside(url, source.path, TOKEN_PATH)
        given = post(address, *token_request(name, source), _TIMEOUT)
        if isinstance(given, Silence):
            yield Check(NAME, "fail", f"{address}: {given.cause}", given.advice)
            return
        try:
            token, _ = read_token(given.status, given.body)
        except ValueError as error:
            advice = "let the proxy pass POST /oauth2/token to this service, its header too"
            yield Check(NAME, "fail", f"no access token from {address}: {error}", advice)
            return
    body = probe.body(secrets.token_hex(8))
    proof = prover(name, source, target.clock, lambda: token)(body)
    signature = None if source.credential else proof[source.header_name]
    mark = probe.marked(body, *([] if signature is None else [probe.digest_of(signature)]))
    # The identity is not looked at, but its headers must arrive like the others.
    identity = {
        place.removeprefix(HEADER): "canary"
        for place in (*source.places_of_id, source.type)
        if place.startswith(HEADER)
    }
    headers = {**identity, **mark, **proof}
    answer = post(url, body, headers, _TIMEOUT)
    if isinstance(answer, Silence):
        yield Check(NAME, "fail", f"{url}: {answer.cause}", answer.advice)
        return
    facts = _facts(answer)
    if facts is None:
        finding, advice = explain(answer)
        yield Check(NAME, "fail", f"{url}: {finding}", advice)
        return
    if source.credential:
        sent = {key: value for key, value in headers.items() if key not in proof}
        yield from _judge_credential(facts, body, sent, source.header_name)
    else:
        yield from judge(facts, body, headers, signature_scheme(source))
    yield from _speed_and_scheme(url, answer)


def _judge_credential(
    facts: Mapping[str, Any], body: bytes, sent: Mapping[str, str], header: str
) -> Iterator[Check]:
    """Judge the way of a proof that does not cover the body: one that changed is taken still."""
    for check in (*_body_changes(facts, body), *_header_changes(facts, sent)):
        yield replace(check, status="warn")
    if facts.get("verified"):
        yield Check(NAME, "ok", _arrived(facts, f"{header} was right"))
    elif facts.get("credential") == "missing":
        advice = "let the proxy pass it on; one that asks for a login itself may keep Authorization"
        yield Check(NAME, "fail", f"the header {header} did not arrive", advice)
    elif facts.get("credential") == "twice":
        advice = "let the proxy set it once, having removed what came: it is added to that"
        yield Check(NAME, "fail", f"the header {header} arrived twice", advice)
    else:
        finding = f"the header {header} arrived, but the service there refuses it"
        advice = (
            "the proxy sets another, or the service runs with another secret than this command:"
            " compare both, restart the service after a change"
        )
        yield Check(NAME, "fail", finding, advice)


def _arrived(facts: Mapping[str, Any], proof: str) -> str:
    finding = f"the canary arrived and {proof}; it was not stored"
    if facts.get("secret") == "previous":
        finding += " (by the previous secret: the service has a newer one)"
    return finding


def judge(
    facts: Mapping[str, Any], body: bytes, sent: Mapping[str, str], scheme: SignatureScheme
) -> Iterator[Check]:
    """Judge the way by the report on a probe, given the body and headers that were sent."""
    changes = [*_body_changes(facts, body), *_header_changes(facts, sent, scheme)]
    yield from changes
    if facts.get("verified"):
        yield Check(NAME, "ok", _arrived(facts, "its signature verified"))
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
    facts: Mapping[str, Any], sent: Mapping[str, str], scheme: SignatureScheme | None = None
) -> Iterator[Check]:
    arrived = facts["headers"]
    for name, value in sent.items():
        key = name.lower()
        if key in probe.TRANSPORT or (key == probe.HEADER.lower() and key in arrived):
            continue
        proves = scheme is not None and (key == scheme.header.lower() or covers(scheme, name))
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
