"""Verify a token or password that a source sends in a header. It is compared and never kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from consumer.core.delivery import Delivery, Verdict
from consumer.core.errors import CredentialInvalid, SignatureMissing
from consumer.ingest.signature import Secret

AUTHORIZATION = "Authorization"


@dataclass(frozen=True, slots=True)
class KeyedHashes:
    """Keyed hashes that stand for refused credentials, which nobody keeps. Whoever reads one learns
    nothing, and a setting that is right later is recognised by it.

    The keys derive from the main secrets, the current one first: new hashes are made under that.
    """

    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, main_secrets: Iterable[bytes]) -> KeyedHashes:
        purpose = b"cxone-consumer: credentials that were refused"
        return cls(tuple(hmac.digest(secret, purpose, "sha256") for secret in main_secrets))

    def of_header(self, header: str) -> list[str]:
        """The hashes, in hex, of the value of a header: of all of it, and of what stands behind its
        first word, a scheme of any case."""
        text = header.strip(" \t")
        scheme, _, rest = text.partition(" ")
        value = rest.strip(" \t")
        forms = [_as_whole(_bytes(text))] if text else []
        forms += [_behind_scheme(scheme, _bytes(value))] if value else []
        return [hmac.digest(key, each, "sha256").hex() for key in self.keys[:1] for each in forms]

    def are_of(self, presented: Iterable[str], forms: Collection[bytes]) -> bool:
        """True where one of the hashes is that of one of the forms; all are compared."""
        expected = [
            hmac.digest(key, form, "sha256").hex().encode() for key in self.keys for form in forms
        ]
        given = [each.encode("utf-8", "replace") for each in presented]
        return sum(hmac.compare_digest(one, each) for one in expected for each in given) > 0


class Credential:
    """The proof by a value in a header: behind `prefix`, a scheme like `Bearer`, or as it is; or,
    with a `user`, as the password of HTTP Basic (RFC 7617)."""

    def __init__(
        self,
        secrets: Sequence[Secret],
        hashes: KeyedHashes,
        *,
        header: str = AUTHORIZATION,
        prefix: str = "",
        user: str | None = None,
    ) -> None:
        self.header = header
        self._prefix = prefix
        self._user = user
        self._hashes = hashes
        start = b"" if user is None else user.encode() + b":"
        values = {secret.name: start + secret.key for secret in secrets}
        # Digests are of one length: comparing them tells nothing of the length of a secret.
        self._digests = [(name, _digest(value)) for name, value in values.items()]
        if user is None:
            self._challenge = 'Bearer realm="webhook"' if header == AUTHORIZATION else None
            self._sent = {name: _forms(prefix, value) for name, value in values.items()}
        else:
            self._challenge = 'Basic realm="webhook", charset="UTF-8"'
            sent = {name: base64.b64encode(value) for name, value in values.items()}
            self._sent = {name: _forms("Basic ", value) for name, value in sent.items()}

    def verify(self, delivery: Delivery, now: datetime) -> Verdict:
        """The verdict with the secret that was presented; raises SignatureMissing or
        CredentialInvalid."""
        given = delivery.headers.get(self.header)
        if not given:
            raise SignatureMissing(f"Missing {self.header} header", challenge=self._challenge)
        value = self._presented(given)
        digest = b"" if value is None else _digest(value)
        # Every secret is compared, whichever matches.
        right = [name for name, each in self._digests if hmac.compare_digest(each, digest)]
        if not right:
            raise CredentialInvalid("Invalid credentials", challenge=self._challenge)
        return Verdict(secret=right[0], verified_at=now)

    def recognise(self, presented: Collection[str], now: datetime) -> Verdict:
        """The verdict with the secret that one of these hashes was made of; raises SignatureMissing
        where there are none, else CredentialInvalid."""
        if not presented:
            raise SignatureMissing(f"Missing {self.header} header")
        right = [n for n, forms in self._sent.items() if self._hashes.are_of(presented, forms)]
        if not right:
            raise CredentialInvalid("Invalid credentials")
        return Verdict(secret=right[0], verified_at=now)

    def _presented(self, header: str) -> bytes | None:
        """The bytes to compare; None where the header is not of this kind."""
        text = header.strip(" \t")
        value = behind(text, self._prefix if self._user is None else "Basic ")
        if value is None or self._user is None:
            return None if value is None else _bytes(value)
        try:
            return base64.b64decode(_bytes(value), validate=True)
        except binascii.Error:
            return None


def _forms(prefix: str, value: bytes) -> list[bytes]:
    """The forms in which a header with this value is hashed, where it is right: no other header has
    any of them."""
    scheme = prefix.strip(" ")
    forms = [_as_whole(_bytes(prefix) + value)]
    return [*forms, _behind_scheme(scheme, value)] if scheme and " " not in scheme else forms


def _as_whole(text: bytes) -> bytes:
    return b"whole " + text


def _behind_scheme(scheme: str, value: bytes) -> bytes:
    return b"behind " + _bytes(scheme.lower()) + b" " + value


def behind(text: str, prefix: str) -> str | None:
    """The text behind the prefix, which may be of any case, as schemes are (RFC 9110, section
    11.1); None where it does not begin so."""
    start, rest = text[: len(prefix)], text[len(prefix) :]
    return rest.strip(" \t") if start.lower() == prefix.lower() else None


def _bytes(header: str) -> bytes:
    """The bytes of a text as HTTP servers hand it on."""
    return header.encode("latin-1", "replace")


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
