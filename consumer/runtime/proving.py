"""Prove requests as the sender of a source does: for `send`, `sign` and `doctor --url`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote_plus, urlencode, urlsplit

from config.sources import SourceSettings
from consumer.ingest.credentials import AUTHORIZATION
from consumer.ingest.signature import sign
from consumer.runtime.settings_map import shared_secrets, signature_scheme

# Makes the headers of a body; their characters are the bytes to send (Latin-1).
Prove = Callable[[bytes], dict[str, str]]


def prover(
    name: str,
    source: SourceSettings,
    clock: Callable[[], datetime],
    token: Callable[[], str],
    key: bytes | None = None,
) -> Prove:
    """The way to prove a body by the current secret of the source, or by `key`; `token` gets an
    access token, for a source of OAuth 2.0."""
    secret = shared_secrets(source)[0].key if key is None else key
    if source.proof == "hmac":
        scheme = signature_scheme(source)
        return lambda body: sign(scheme, secret, body, clock())
    if source.proof == "oauth2":
        return lambda _: {AUTHORIZATION: f"Bearer {token()}"}
    if source.proof == "basic":
        return lambda _: {AUTHORIZATION: _basic(source.user or name, secret)}
    value = source.prefix_text + secret.decode("latin-1")
    return lambda _: {source.header_name: value}


def _basic(user: str, password: bytes) -> str:
    return f"Basic {base64.b64encode(user.encode() + b':' + password).decode()}"


def url_beside(url: str, path: str, other: str) -> str:
    """The address of `other`, a path of the service that has `path` at `url`: a proxy may put
    something before both."""
    parts = urlsplit(url)
    at = parts.path.rstrip("/")
    before = at.removesuffix(path) if at.endswith(path) else ""
    return parts._replace(path=before + other, query="", fragment="").geturl()


def token_request(name: str, source: SourceSettings) -> tuple[bytes, dict[str, str]]:
    """The body and headers by which a client asks for an access token (RFC 6749, section 4.4)."""
    secret = quote_plus(shared_secrets(source)[0].key)
    return urlencode({"grant_type": "client_credentials"}).encode(), {
        "Content-Type": "application/x-www-form-urlencoded",
        AUTHORIZATION: _basic(name, secret.encode()),
    }


def read_token(status: int, answer: bytes) -> tuple[str, float]:
    """The token in an answer, and for how many seconds it is valid; raises ValueError with the
    reason, without the token."""
    try:
        said = json.loads(answer)
        if status == 200:
            return str(said["access_token"]), float(said["expires_in"])
        error = f"{said['error']}: {said.get('error_description', '')}"[:300]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"HTTP {status}, and not as RFC 6749 says") from None
    raise ValueError(error)
