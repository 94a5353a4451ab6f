"""Recognise the probe of `doctor --url`, store it nowhere, and report how it arrived.

On the wire, and to people, it is called a canary.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime

from consumer.core.delivery import Delivery
from consumer.core.errors import SignatureError
from consumer.ingest.signature import SignatureScheme, sign

HEADER = "X-Cxone-Consumer-Canary"
MARKER = b'"cxone_consumer_canary"'
# Headers whose value may explain a change of the body.
TRANSPORT = ("content-type", "content-encoding", "transfer-encoding")

_HEAD = 64
_MAX_NAMES = 32
_MAX_NONCE = 64
# No proxy makes more of a probe.
_MAX_REWRITTEN = 4096
# The second is that of the signature. Of a credential nothing is told, for it could be guessed.
_DIGESTS = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{64}|-)")
_CREDENTIAL = "-"

# What proxies like to rewrite: blanks, line ends, key order, 1.0, exponents, big integers, unicode
# and its escapes, slashes, markup. Every key sorts behind the first, so sorting keeps it first.
_BODY = (
    '{ {marker} :"{nonce}",\r\n  "zeta":1.0,"exp" : 1E2,"digits":12345678901234567890,\n'
    '  "name":"Zo\u00eb \U0001f426 \u65e5\u672c","escaped":"Zo\\u00eb","path":"a\\/b/c",'
    '"markup":"<b>&amp;\'+\'</b>","none":null,"empty":{},"list":[ 1, 2.50,-0 ] }\n'
)


def body(nonce: str) -> bytes:
    """The probe's bytes; `nonce` (1 to 64 letters and digits) makes each one new to caches."""
    text = _BODY.replace("{marker}", MARKER.decode("ascii")).replace("{nonce}", nonce)
    return text.encode("utf-8")


_BEFORE, _AFTER = body("\0").split(b"\0")
_KEYS = json.loads(body("0")).keys()


def headers(scheme: SignatureScheme, key: bytes, probe: bytes, now: datetime) -> dict[str, str]:
    """The headers to post the probe with. HEADER says what was sent: digests of the body and of
    the signature, as `<sha256 hex>.<sha256 hex>`."""
    signed = sign(scheme, key, probe, now)
    return {**marked(probe, digest_of(signed[scheme.header])), **signed}


def marked(probe: bytes, proof: str = _CREDENTIAL) -> dict[str, str]:
    """The headers of a probe without its proof; `proof` is the digest of the signature."""
    return {"Content-Type": "application/json", HEADER: f"{_sha256(probe)}.{proof}"}


def digest_of(value: str) -> str:
    """SHA-256 (hex) of a header value."""
    return _sha256(value.strip(" \t").encode("latin-1", "replace"))


def is_suspect(delivery: Delivery) -> bool:
    """True when the delivery is worth the look of `answer`; on the hot path, so a slice and a
    look-up."""
    return MARKER in delivery.body[:_HEAD] or delivery.headers.get(HEADER) is not None


def answer(
    delivery: Delivery, verdict: Delivery | SignatureError, credential: str = ""
) -> tuple[int, dict[str, object]] | None:
    """HTTP status and JSON for a probe: 200 when it verified, 401 otherwise; None for a delivery
    like any other.

    One that verified is a probe only byte for byte: whoever signs may send any word in any place.
    One that did not may have been rewritten on the way; then the header says that another body
    left with this same signature, or the body still has the probe's keys and no other.
    `credential` is the header of a proof that does not cover the body: there the header that says
    that another body left is enough.
    """
    is_probe = _is_template(delivery.body) or (credential and _is_rewritten(delivery))
    if isinstance(verdict, Delivery):
        return (200, report(delivery, verdict, credential)) if is_probe else None
    if is_probe or _left_with_another_body(delivery) or _has_the_keys(delivery):
        return 401, report(delivery, verdict, credential)
    return None


def _is_rewritten(delivery: Delivery) -> bool:
    sent = _DIGESTS.fullmatch(delivery.headers.get(HEADER, ""))
    return sent is not None and sent[2] == _CREDENTIAL and _sha256(delivery.body) != sent[1]


def _is_template(arrived: bytes) -> bool:
    nonce = arrived[len(_BEFORE) : len(arrived) - len(_AFTER)]
    return nonce.isalnum() and len(nonce) <= _MAX_NONCE and arrived == _BEFORE + nonce + _AFTER


def _left_with_another_body(delivery: Delivery) -> bool:
    sent = _DIGESTS.fullmatch(delivery.headers.get(HEADER, ""))
    if sent is None or _sha256(delivery.body) == sent[1]:
        return False
    return sent[2] in _digests(delivery.headers).values()


def _has_the_keys(delivery: Delivery) -> bool:
    if len(delivery.body) > _MAX_REWRITTEN:
        return False
    try:
        # Keys are ASCII; what became of the values does not matter here.
        keys = json.loads(delivery.body.decode("latin-1"))
    except (ValueError, RecursionError):
        return False
    return isinstance(keys, dict) and keys.keys() == _KEYS


def report(
    delivery: Delivery, verdict: Delivery | SignatureError, credential: str = ""
) -> dict[str, object]:
    """The report on how a probe arrived: facts that its sender knows, but as seen from here.

    `headers` maps the names worth keeping to the SHA-256 of their values, TRANSPORT aside;
    `credential` says of that header no more than whether it came, and whether twice.
    """
    facts: dict[str, object] = {
        "status": "canary",
        "verified": isinstance(verdict, Delivery),
        "body_sha256": _sha256(delivery.body),
        "body_length": len(delivery.body),
        "headers": _digests(delivery.headers),
        "transport": {
            name: delivery.headers[name][:128] for name in TRANSPORT if name in delivery.headers
        },
    }
    sent = _DIGESTS.fullmatch(delivery.headers.get(HEADER, ""))
    facts["body"] = "unknown" if sent is None else _compared(sent[1] == facts["body_sha256"])
    if credential:
        given = delivery.headers.get(credential)
        verified = isinstance(verdict, Delivery)
        several = given is not None and "," in given and not verified
        facts["credential"] = "missing" if not given else "twice" if several else "once"
    if isinstance(verdict, SignatureError):
        facts["reason"] = verdict.reason
    elif verdict.verdict is not None:
        facts["secret"] = verdict.verdict.secret
    return facts


def _compared(same: bool) -> str:
    return "as sent" if same else "changed"


def _digests(arrived: Mapping[str, str]) -> dict[str, str]:
    names = [name.lower() for name in arrived if name.lower() not in TRANSPORT][:_MAX_NAMES]
    # An edge may hold more headers than it iterates over.
    if HEADER in arrived:
        names.append(HEADER.lower())
    return {name: digest_of(arrived[name]) for name in names}


def _sha256(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
