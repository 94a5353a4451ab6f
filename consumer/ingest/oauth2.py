"""Issue and check access tokens that every process of the fleet can check without a look-up."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe

import msgspec

from consumer.core.delivery import Delivery, Verdict
from consumer.core.errors import CredentialInvalid, SignatureMissing
from consumer.ingest.credentials import AUTHORIZATION, behind
from consumer.ingest.signature import Secret

# Seconds; the clocks of two processes may be so far apart.
CLOCK_SKEW = 300
MOST_LIFETIME = 3600

_VERSION = "v1"
# Over twice what `issue` makes for the longest name of a source.
_MOST_CHARACTERS = 512
# RFC 6750, section 3, asks for a parameter in each, and for this error in all but the first.
_CHALLENGE = 'Bearer realm="cxone-consumer"'
_INVALID = 'Bearer error="invalid_token"'


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times are Unix times in seconds; `nonce` makes each token another."""

    source: str
    issued: int
    expires: int
    nonce: str


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The proof by a token that `issue` made for `source`."""

    source: str
    secrets: Sequence[Secret]

    def verify(self, delivery: Delivery, now: datetime) -> Verdict:
        """The verdict with the secret that made the token; raises as `check`."""
        given = (delivery.headers.get(AUTHORIZATION) or "").strip(" \t")
        token = behind(given, "Bearer ") or ""
        return Verdict(check(token, self.source, self.secrets, now), now)


def issue(source: str, secret: Secret, now: datetime, lifetime: int = MOST_LIFETIME) -> str:
    """A token `v1.payload.mac` for `source`, valid for `lifetime` seconds while `secret` is."""
    if not 0 < lifetime <= MOST_LIFETIME:
        raise ValueError(f"a token is valid for 1 to {MOST_LIFETIME} s")
    issued = int(now.timestamp())
    payload = _Payload(source, issued, issued + lifetime, token_urlsafe(16))
    signed = f"{_VERSION}.{_base64url(msgspec.json.encode(payload))}"
    return f"{signed}.{_mac(source, secret, signed)}"


def check(token: str, source: str, secrets: Sequence[Secret], now: datetime) -> str:
    """The name of the secret, of the `secrets` of `source`, that made the token.

    Raises SignatureMissing for an empty token, CredentialInvalid for one that `issue` did not make
    for this source with one of the secrets, or that is not valid at this time; both with the
    challenge that RFC 6750 asks for.
    """
    if not token:
        raise SignatureMissing("Missing access token", challenge=_CHALLENGE)
    if len(token) > _MOST_CHARACTERS or not token.isascii():
        raise _invalid()
    # Its text is compared, never what it decodes to: there is one text of each token.
    signed, _, mac = token.rpartition(".")
    for secret in secrets:
        if hmac.compare_digest(_mac(source, secret, signed).encode(), mac.encode()):
            _check_payload(signed, source, now)
            return secret.name
    raise _invalid()


def hkdf(secret: bytes, info: bytes) -> bytes:
    """The first 32 bytes of HKDF-SHA256 without salt (RFC 5869): its output's first step."""
    return hmac.digest(hmac.digest(b"", secret, "sha256"), info + b"\x01", "sha256")


def _check_payload(signed: str, source: str, now: datetime) -> None:
    """Look at what `issue` signed: nothing in it is secret."""
    version, _, encoded = signed.partition(".")
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        payload = msgspec.json.decode(text, type=_Payload)
    except (ValueError, msgspec.DecodeError):
        raise _invalid() from None
    is_ours = payload.source == source and version == _VERSION
    if not is_ours or not 0 < payload.expires - payload.issued <= MOST_LIFETIME:
        raise _invalid()
    if payload.issued > now.timestamp() + CLOCK_SKEW:
        raise _invalid("Access token issued in the future: compare the clocks of the servers")
    if payload.expires <= now.timestamp():
        raise _invalid("Access token expired: ask for another")


def _invalid(fact: str = "Invalid access token") -> CredentialInvalid:
    return CredentialInvalid(fact, challenge=_INVALID)


def _mac(source: str, secret: Secret, signed: str) -> str:
    key = hkdf(secret.key, b"oauth2 token" + source.encode())
    return _base64url(hmac.digest(key, signed.encode(), "sha256"))


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
