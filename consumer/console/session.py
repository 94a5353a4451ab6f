"""Know who is logged in from a signed cookie, which is the same in every process."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

COOKIE = "cxone_console"
_MOST_NAME = 64
# A cookie of ours is far shorter; what is longer is not even looked at.
_MOST_COOKIE = 1024


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who knew the password: the name they gave, the token of their forms, under which
    `id` it is ended before its time, and when that is."""

    name: str
    csrf: str
    id: str
    ends_at: datetime

    @property
    def who(self) -> str:
        """The name under which the audit has them."""
        return audit_name(self.name)


class Sessions:
    """Opens and reads sessions that end `seconds` after the login.

    The keys come from the password and `pepper`, the shared secret: all processes have the same, a
    change of either ends every session, and a stolen cookie is no way to guess the password.
    """

    def __init__(self, password: str, pepper: bytes, seconds: float) -> None:
        self._password = hashlib.sha256(password.encode()).digest()
        self._key = hmac.digest(pepper, b"console\0" + password.encode(), "sha256")
        self._signer = signer(self.derived("session"))
        self.seconds = int(seconds)

    def derived(self, use: str) -> bytes:
        """A key for one use."""
        return hmac.digest(self._key, use.encode(), "sha256")

    def knows(self, password: str) -> bool:
        """True for the password, in the same time for every wrong one."""
        return hmac.compare_digest(hashlib.sha256(password.encode()).digest(), self._password)

    def open(self, name: str) -> str:
        """The cookie of a new session."""
        return dumped(self._signer, {"name": clean_name(name), "nonce": secrets.token_urlsafe(12)})

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None when it is none of ours, or over."""
        if not cookie or len(cookie) > _MOST_COOKIE:
            return None
        try:
            content: Any
            content, since = self._signer.loads(cookie, self.seconds, return_timestamp=True)
        except BadData:
            return None
        nonce = content["nonce"].encode()
        token = hmac.digest(self.derived("csrf"), nonce, "sha256").hex()
        _id = hmac.digest(self.derived("id"), nonce, "sha256").hex()
        return Session(content["name"], token, _id, since + timedelta(seconds=self.seconds))

    def seal(self, session: Session, text: str) -> str:
        """A mark that only we can make, on a text that a form of this session brings back."""
        marked = f"{session.csrf}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self.derived("seal"), marked, "sha256").hex()

    def allows(self, session: Session, token: str) -> bool:
        """True when a form carries the token of its session."""
        return hmac.compare_digest(token.encode(), session.csrf.encode())


def signer(key: bytes) -> URLSafeTimedSerializer:
    """Signs with HMAC-SHA-256, and knows when it did."""
    return URLSafeTimedSerializer(
        key, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )


def dumped(serializer: URLSafeTimedSerializer, value: object) -> str:
    text = serializer.dumps(value)
    return text if isinstance(text, str) else text.decode("ascii")


def clean_name(name: str) -> str:
    """A name for the audit: one printable line, never empty."""
    return "".join(filter(str.isprintable, name.strip()))[:_MOST_NAME] or "somebody"


def audit_name(name: str) -> str:
    return f"{name} (console)"
