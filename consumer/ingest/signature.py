"""Verify from the raw bytes that CXone sent a delivery, and sign: HMAC-SHA256 in its variants."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode, urlsafe_b64encode
from binascii import hexlify
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from secrets import token_hex

from config.signing import Encoding, signed_parts
from consumer.core.delivery import Delivery, Verdict
from consumer.core.errors import SignatureInvalid, SignatureMissing

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Unix times from here on are milliseconds: as seconds they would lie beyond the year 5000.
_MILLISECONDS_FROM = 100_000_000_000
# Bytes; a shared secret of fewer is found by trying, given one signed body.
SHORT_SECRET = 16
# Of a list in one header.
MAX_SIGNATURES = 16


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """The way senders sign. The default is NICE CXone's: base64 over the raw body.

    `signed` is `body`, `timestamp.body` or a template like `{id}.{timestamp}.{body}`; the headers
    of id and time are used where they are signed, and so is `tolerance`, in seconds. With `several`
    the header may list signatures, each behind the prefix, between blanks or commas.
    """

    header: str = "X-Nice-Webhook-Signature"
    encoding: Encoding = "base64"
    prefix: str = ""
    signed: str = "body"
    timestamp_header: str | None = None
    id_header: str | None = None
    tolerance: float = 300.0
    several: bool = False

    # Read once, for every delivery asks: the bytes signed before the first field; the fields, each
    # with its header and the bytes behind it; the prefix; what finds one signature of several.
    start: bytes = field(init=False, repr=False, compare=False)
    fields: tuple[tuple[str, str, bytes], ...] = field(init=False, repr=False, compare=False)
    prefix_bytes: bytes = field(init=False, repr=False, compare=False)
    item: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        start, *parts = signed_parts(self.signed)
        headers = {"timestamp": self.timestamp_header, "id": self.id_header}
        fields = [
            (name, headers[name], behind.encode("ascii"))
            for name, behind in zip(parts[0::2], parts[1::2], strict=True)
        ]
        if any(header is None for _, header, _ in fields):
            raise ValueError(f"{self.signed} needs a header for each of its fields")
        for name, value in {
            "start": start.encode("ascii"),
            "fields": tuple(fields),
            "prefix_bytes": self.prefix.encode("latin-1", "replace"),
            "item": re.compile(rf"(?<![^ \t,]){re.escape(self.prefix)}([^ \t,]+)"),
        }.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Secret:
    """A shared secret under the name that is recorded when it matched: `current` or `previous`;
    `text` is how it is written where that is not the key itself."""

    name: str
    key: bytes
    text: str = ""


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
    signatures = _listed(given, scheme) if scheme.several else (_comparable(given, scheme),)
    before = signed_before(delivery, scheme)
    for secret in secrets:
        expected = _expected(scheme, secret.key, before, delivery.body)
        for signature in signatures:
            # Bytes, because compare_digest raises TypeError on a str beyond ASCII.
            if hmac.compare_digest(expected, signature):
                return Verdict(secret=secret.name, verified_at=now)
    raise SignatureInvalid("Invalid webhook signature")


def sign(scheme: SignatureScheme, key: bytes, body: bytes, now: datetime) -> dict[str, str]:
    """The headers that a sender adds: the signature, and a time and a new id where they are
    signed."""
    headers: dict[str, str] = {}
    before = scheme.start
    for name, header, behind in scheme.fields:
        value = headers.setdefault(header, _new_value(name, now))
        before += value.encode("ascii") + behind
    headers[scheme.header] = _expected(scheme, key, before, body).decode("latin-1")
    return headers


def _new_value(name: str, now: datetime) -> str:
    return token_hex(16) if name == "id" else str(int(now.timestamp()))


def covers(scheme: SignatureScheme, header: str) -> bool:
    """True for a header whose value is signed: what is not, anybody on the way may change."""
    return any(header.lower() == signed.lower() for _, signed, _ in scheme.fields)


def _expected(scheme: SignatureScheme, key: bytes, before: bytes, body: bytes) -> bytes:
    """The text that the header must have, without copying the body."""
    if before:
        mac = hmac.new(key, before, hashlib.sha256)
        mac.update(body)
        raw = mac.digest()
    else:
        raw = hmac.digest(key, body, "sha256")
    return scheme.prefix_bytes + _ENCODE[scheme.encoding](raw)


_ENCODE: Mapping[Encoding, Callable[[bytes], bytes]] = {
    "base64": b64encode,
    "base64-unpadded": lambda raw: b64encode(raw).rstrip(b"="),
    "base64url": lambda raw: urlsafe_b64encode(raw).rstrip(b"="),
    "hex": hexlify,
}


def _comparable(header: str, scheme: SignatureScheme) -> bytes:
    """Header text as bytes (Latin-1 by PEP 3333); hex behind the prefix is the same in any case,
    and so is base64 without its =, where that may be missing."""
    text = header.strip(" \t")
    if scheme.encoding != "base64":
        start = len(scheme.prefix)
        # 32 bytes end with one.
        text = (
            text.removesuffix("=")
            if scheme.encoding != "hex"
            else text[:start] + text[start:].lower()
        )
    return text.encode("latin-1", "replace")


def _listed(header: str, scheme: SignatureScheme) -> tuple[bytes, ...]:
    """The signatures of a list, like `v1,A v1,B`; what has another prefix is none."""
    found = tuple(_comparable(each[0], scheme) for each in scheme.item.finditer(header))
    if len(found) > MAX_SIGNATURES:
        raise SignatureInvalid(f"{scheme.header} lists over {MAX_SIGNATURES} signatures")
    return found


def signed_before(delivery: Delivery, scheme: SignatureScheme) -> bytes:
    """The bytes signed before the body: what the template says, with the values of the headers.

    Raises SignatureMissing without a header of these, and SignatureInvalid for a time that is no
    Unix time (seconds or milliseconds) within the tolerance of `received_at`, or an id that could
    be read in two ways.
    """
    before = scheme.start
    for name, header, behind in scheme.fields:
        value = (delivery.headers.get(header) or "").strip(" \t")
        if not value:
            raise SignatureMissing(f"Missing {header} header")
        if name == "timestamp":
            _check_time(value, header, scheme.tolerance, delivery.received_at)
        elif "." in value or chr(behind[0]) in value:
            # It would move what ends it, and the same bytes would be signed for another body.
            raise SignatureInvalid(f"{header} holds a dot, or what ends the id where it is signed")
        before += value.encode("latin-1", "replace") + behind
    return before


def _check_time(stamp: str, header: str, tolerance: float, received_at: datetime) -> None:
    signed_at = unix_time(stamp)
    if signed_at is None:
        raise SignatureInvalid(f"{header} is not a Unix time in seconds or ms")
    if abs((received_at - signed_at).total_seconds()) > tolerance:
        raise SignatureInvalid(f"{header} is over {tolerance:g} s off this server's clock")


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
        # Not `fromtimestamp`, for which on Windows the year 3000 is the last.
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
