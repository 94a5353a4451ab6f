"""POST once from outside and say in words why no answer came."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import urllib3
from urllib3.exceptions import HTTPError

_MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: at most 64 KiB of the body, and after how many seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer: what happened and what to do."""

    cause: str
    advice: str


# By the text of urllib3's error, because it wraps the kinds in one another; the first that matches.
_CAUSES = (
    (
        r"NameResolutionError|getaddrinfo|name resolution",
        "the host name is not known to DNS",
        "check the URL, and that its DNS entry is public",
    ),
    (
        r"CERTIFICATE_VERIFY|certificate",
        "the TLS certificate is not trusted: CXone would refuse it too",
        "install a certificate of a public authority for this host, with its whole chain",
    ),
    (
        r"SSL|TLS",
        "the TLS handshake failed",
        "check that the proxy speaks HTTPS on this port, TLS 1.2 or newer",
    ),
    (
        r"refused",
        "the connection was refused: nothing listens there",
        "start the proxy, check host and port, open the firewall",
    ),
    (
        r"[Tt]imed? ?out",
        "no answer in time",
        "check firewall and proxy; CXone gives up after a few seconds",
    ),
    (
        r"reset|aborted|closed|Protocol",
        "the connection broke off without an answer",
        "look at the proxy's log; HTTPS and HTTP may be mixed up",
    ),
)


def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer | Silence:
    """The answer to one POST, never redirected nor tried again; `timeout` in seconds."""
    started = monotonic()
    try:
        with urllib3.PoolManager(timeout=urllib3.Timeout(total=timeout), retries=False) as pool:
            reply = pool.request(
                "POST", url, body=body, headers=headers, redirect=False, preload_content=False
            )
            text = reply.read(_MAX_ANSWER)
            reply.close()
    except (HTTPError, OSError, ValueError) as error:
        return _silence(error)
    return Answer(reply.status, dict(reply.headers.items()), text, monotonic() - started)


def _silence(error: Exception) -> Silence:
    said = f"{type(error).__name__} {error}"
    for pattern, cause, advice in _CAUSES:
        if re.search(pattern, said):
            return Silence(cause, advice)
    return Silence(f"no answer ({type(error).__name__})", "check the URL and the proxy's log")
