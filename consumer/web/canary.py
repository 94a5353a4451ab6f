"""Tell the canary of `doctor --url` from a delivery, keep it nowhere, and report how it arrived."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

from consumer.errors import ConsumerError
from consumer.events import Delivery
from consumer.signature import SignatureScheme, sign

HEADER = "X-Cxone-Consumer-Canary"
MARKER = b'"cxone_consumer_canary"'
# Headers whose value may explain a change of the body.
TRANSPORT = ("content-type", "content-encoding", "transfer-encoding")

_HEAD = 64
_MAX_NAMES = 32
_DIGESTS = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{64})")

# What proxies like to rewrite: blanks, line ends, key order, 1.0, exponents, big integers, unicode
# and its escapes, slashes, markup. Every key sorts behind the first, so sorting keeps it first.
_BODY = (
    '{ {marker} :"{nonce}",\r\n  "zeta":1.0,"exp" : 1E2,"digits":12345678901234567890,\n'
    '  "name":"Zo\u00eb \U0001f426 \u65e5\u672c","escaped":"Zo\\u00eb","path":"a\\/b/c",'
    '"markup":"<b>&amp;\'+\'</b>","none":null,"empty":{},"list":[ 1, 2.50,-0 ] }\n'
)


def body(nonce: str) -> bytes:
    """The canary's bytes; `nonce` (letters and digits) makes each one new to caches."""
    text = _BODY.replace("{marker}", MARKER.decode("ascii")).replace("{nonce}", nonce)
    return text.encode("utf-8")


def headers(scheme: SignatureScheme, key: bytes, canary: bytes, now: datetime) -> dict[str, str]:
    """The headers to post the canary with; HEADER tells what was sent: digests of the body and of
    the signature, as `<sha256 hex>.<sha256 hex>`."""
    signed = sign(scheme, key, canary, now)
    sent = f"{_sha256(canary)}.{digest_of(signed[scheme.header])}"
    return {"Content-Type": "application/json", **signed, HEADER: sent}


def digest_of(value: str) -> str:
    """SHA-256 (hex) of a header value."""
    return _sha256(value.strip(" \t").encode("latin-1", "replace"))


def is_canary(delivery: Delivery) -> bool:
    """Whether the delivery is a canary: the marker begins the body, or the header tells that
    another body left with this same signature.

    The header alone proves nothing: an event sent with it by mistake must be kept. On the hot path
    it costs a slice and a look-up.
    """
    if MARKER in delivery.body[:_HEAD]:
        return True
    told = delivery.headers.get(HEADER)
    return told is not None and _tells_of_another_body(told, delivery)


def _tells_of_another_body(told: str, delivery: Delivery) -> bool:
    sent = _DIGESTS.fullmatch(told)
    if sent is None or _sha256(delivery.body) == sent[1]:
        return False
    return sent[2] in _digests(delivery.headers).values()


def answer(delivery: Delivery, verdict: Delivery | ConsumerError) -> tuple[int, dict[str, object]]:
    """HTTP status and JSON for a canary: 200 when it verified, 401 otherwise."""
    return (200 if isinstance(verdict, Delivery) else 401), report(delivery, verdict)


def report(delivery: Delivery, verdict: Delivery | ConsumerError) -> dict[str, object]:
    """How the canary arrived: nothing that whoever sent it does not know, but as seen from here.

    `headers` maps the names worth keeping to the SHA-256 of their values, TRANSPORT aside.
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
    told = _DIGESTS.fullmatch(delivery.headers.get(HEADER, ""))
    facts["body"] = "unknown" if told is None else _compared(told[1] == facts["body_sha256"])
    if isinstance(verdict, ConsumerError):
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
