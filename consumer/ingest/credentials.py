"""Verify a token or password that a source sends in a header. It is compared and never kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from consumer.core.delivery import Delivery, Verdict
from consumer.core.errors import CredentialInvalid, SignatureMissing
from consumer.ingest.signature import Secret

AUTHORIZATION = "Authorization"


@dataclass(frozen=True, slots=True)
class Shade:
    """Stands for a credential that was refused: a keyed hash. Whoever reads it learns nothing, and
    a setting that is right later is recognised by it. `key` derives from the main secret."""

    key: bytes

    @classmethod
    def of(cls, main_secret: bytes) -> Shade:
        purpose = b"cxone-consumer: credentials that were refused"
        return cls(hmac.digest(main_secret, purpose, "sha256"))

    def cast(self, value: bytes) -> str:
        """The hash of a presented value, in hex."""
        return hmac.digest(self.key, value, "sha256").hex()


class Credential:
    """The proof by a value in a header: behind `prefix`, a scheme like `Bearer`, or as it is; or,
    with a `user`, as the password of HTTP Basic (RFC 7617)."""

    def __init__(
        self,
        secrets: Sequence[Secret],
        shade: Shade,
        *,
        header: str = AUTHORIZATION,
        prefix: str = "",
        user: str | None = None,
    ) -> None:
        self.header = header
        self._prefix = prefix
        self._user = user
        self._shade = shade
        if user is None:
            self._values = {secret.name: secret.key for secret in secrets}
            self._challenge = 'Bearer realm="webhook"' if header == AUTHORIZATION else None
        else:
            start = user.encode() + b":"
            self._values = {secret.name: start + secret.key for secret in secrets}
            self._challenge = 'Basic realm="webhook", charset="UTF-8"'
        # Digests are of one length: comparing them tells nothing of the length of a secret.
        self._digests = [(name, _digest(value)) for name, value in self._values.items()]

    def verify(self, delivery: Delivery, now: datetime) -> Verdict:
        """The verdict with the secret that was presented; raises SignatureMissing or
        CredentialInvalid."""
        given = delivery.headers.get(self.header)
        if not given:
            raise SignatureMissing(f"Missing {self.header} header", challenge=self._challenge)
        value = self.presented(given)
        matched = None
        if value is not None:
            digest = _digest(value)
            for name, expected in self._digests:
                # Every secret is compared, whichever matches.
                if hmac.compare_digest(expected, digest) and matched is None:
                    matched = name
        if matched is None:
            raise CredentialInvalid(
                "Invalid credentials",
                challenge=self._challenge,
                presented=None if value is None else self._shade.cast(value),
            )
        return Verdict(secret=matched, verified_at=now)

    def presented(self, header: str) -> bytes | None:
        """The bytes to compare; None where the header is not of this kind."""
        text = header.strip(" \t")
        if self._user is None:
            return _behind(text, self._prefix)
        encoded = _behind(text, "Basic ")
        try:
            return None if encoded is None else base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return None

    def shades(self) -> Mapping[str, str]:
        """The hash that each secret would have cast, by the name of the secret."""
        return {name: self._shade.cast(value) for name, value in self._values.items()}


def _behind(text: str, prefix: str) -> bytes | None:
    """The text behind the prefix, which may be of any case, as schemes are (RFC 9110, section
    11.1); None where it does not begin so."""
    start, rest = text[: len(prefix)], text[len(prefix) :]
    if start.lower() != prefix.lower():
        return None
    return rest.strip(" \t").encode("latin-1", "replace")


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
