"""Verify from the raw bytes that CXone sent a delivery, and sign: HMAC-SHA256 in its variants."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from consumer.core.delivery import Delivery, Verdict
from consumer.core.errors import SignatureInvalid, SignatureMissing

Encoding = Literal["base64", "hex"]
SignedContent = Literal["body", "timestamp.body"]

# Unix times from here on are milliseconds: as seconds they would lie beyond the year 5000.
_MILLISECONDS_FROM = 100_000_000_000
# Bytes; a shared secret of fewer is found by trying, given one signed body.
SHORT_SECRET = 16


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """The way senders sign. The default is NICE CXone's: base64 over the raw body.

    `tolerance` is in seconds and only used where the timestamp is signed.
    """

    header: str = "X-Nice-Webhook-Signature"
    encoding: Encoding = "base64"
    prefix: str = ""
    content: SignedContent = "body"
    timestamp_header: str | None = None
    tolerance: float = 300.0


@dataclass(frozen=True, slots=True)
class Secret:
    """A shared secret under the name that is recorded when it matched: `current` or `previous`."""

    name: str
    key: bytes


def verify(
    delivery: Delivery, scheme: SignatureScheme, secrets: Sequence[Secret], now: datetime
) -> Verdict:
    """The verdict with the secret that signed the delivery.

    Raises SignatureMissing without the header, SignatureInvalid when no secret matches or the
    signed timestamp is not within the tolerance of `received_at`.
    """
    given = delivery.headers.get(scheme.header)
    if not given:
        raise SignatureMissing(f"Missing {scheme.header} header")
    given_bytes = _comparable(given, scheme)
    prefix = signed_prefix(delivery, scheme)
    for secret in secrets:
        expected = _expected(scheme, secret.key, prefix, delivery.body)
        # Bytes, because compare_digest raises TypeError on a str beyond ASCII.
        if hmac.compare_digest(expected, given_bytes):
            return Verdict(secret=secret.name, verified_at=now)
    raise SignatureInvalid("Invalid webhook signature")


def sign(scheme: SignatureScheme, key: bytes, body: bytes, now: datetime) -> dict[str, str]:
    """The headers that a sender adds: the signature, and the timestamp where it is signed."""
    headers: dict[str, str] = {}
    prefix = b""
    if scheme.content == "timestamp.body" and scheme.timestamp_header:
        stamp = str(int(now.timestamp()))
        headers[scheme.timestamp_header] = stamp
        prefix = stamp.encode("ascii") + b"."
    headers[scheme.header] = _expected(scheme, key, prefix, body).decode("latin-1")
    return headers


def encoded_hmac(key: bytes, prefix: bytes, body: bytes, encoding: Encoding) -> bytes:
    """HMAC-SHA256 over prefix + body as header text, without copying the body."""
    if prefix:
        mac = hmac.new(key, prefix, hashlib.sha256)
        mac.update(body)
        raw = mac.digest()
    else:
        raw = hmac.digest(key, body, "sha256")
    return raw.hex().encode("ascii") if encoding == "hex" else base64.b64encode(raw)


def _expected(scheme: SignatureScheme, key: bytes, prefix: bytes, body: bytes) -> bytes:
    return scheme.prefix.encode("latin-1") + encoded_hmac(key, prefix, body, scheme.encoding)


def _comparable(header: str, scheme: SignatureScheme) -> bytes:
    """Header text as bytes (Latin-1 by PEP 3333); hex behind the prefix is the same in any case."""
    text = header.strip(" \t")
    if scheme.encoding == "hex":
        start = len(scheme.prefix)
        text = text[:start] + text[start:].lower()
    return text.encode("latin-1", "replace")


def signed_prefix(delivery: Delivery, scheme: SignatureScheme) -> bytes:
    """The bytes signed before the body: none, or the timestamp and a dot.

    Raises SignatureMissing without the timestamp header and SignatureInvalid for one that is no
    Unix time (seconds or milliseconds) within the tolerance of `received_at`.
    """
    if scheme.content == "body" or scheme.timestamp_header is None:
        return b""
    stamp = (delivery.headers.get(scheme.timestamp_header) or "").strip(" \t")
    if not stamp:
        raise SignatureMissing(f"Missing {scheme.timestamp_header} header")
    signed_at = unix_time(stamp)
    if signed_at is None:
        raise SignatureInvalid(f"{scheme.timestamp_header} is not a Unix time in seconds or ms")
    if abs((delivery.received_at - signed_at).total_seconds()) > scheme.tolerance:
        raise SignatureInvalid(
            f"{scheme.timestamp_header} is over {scheme.tolerance:g} s off this server's clock"
        )
    return stamp.encode("ascii") + b"."


def fingerprint(key: bytes) -> str:
    """A name for a secret that does not reveal it: the same over restarts and in any role."""
    return hmac.digest(key, b"cxone-consumer: fingerprint of a secret", "sha256").hex()[:16]


def unix_time(text: str) -> datetime | None:
    """UTC time of a decimal Unix time in seconds or milliseconds; None for anything else."""
    # isdecimal alone accepts other scripts' digits; 17 digits hold any millisecond we could mean.
    if not (text.isascii() and text.isdecimal() and len(text) <= 17):
        return None
    number = int(text)
    seconds = number / 1000 if number >= _MILLISECONDS_FROM else float(number)
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
