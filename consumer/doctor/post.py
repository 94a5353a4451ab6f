"""POST once from outside; say in words why no answer came, or who answered in our place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from consumer.http.webhook import ROUTE

_MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply: at most 64 KiB of its body, and after how many seconds it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer: its cause, and advice."""

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

_PASS = f"let the proxy pass POST {ROUTE} to this service (CXONE_LISTEN)"

# By status: its meaning where no report on the probe came with it, and advice.
_BY_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("the request was refused as malformed", "look at the proxy's log"),
    401: ("the proxy wants a login", "let it pass the webhook without: the signature is the login"),
    403: ("the request is forbidden (a firewall or filter?)", "allow POST to the webhook there"),
    404: ("nothing is known under that path", _PASS),
    405: ("POST is not allowed there", _PASS),
    411: ("the proxy wants a Content-Length", "check the URL: that may be another server"),
    413: ("the proxy takes no body of 400 bytes", "raise its limit (nginx: client_max_body_size)"),
    429: ("the proxy limits the rate", "raise its limit for the webhook"),
    500: ("the server failed", "look at the proxy's log, and at this service's log"),
    502: ("the proxy cannot reach this service", f"start the service; {_PASS}"),
    503: ("the proxy or service cannot take it now", "look at /readyz of this service"),
    504: ("this service did not answer the proxy in time", "look at this service's log"),
}


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


def explain(answer: Answer) -> tuple[str, str]:
    """(finding, advice) for an answer that is no report on the probe."""
    status = answer.status
    if 300 <= status < 400:
        there = urlsplit(_header(answer, "location"))
        where = f" to {there.scheme}://{there.hostname}" if there.hostname else ""
        return f"{status}, a redirect{where}", "give CXone the final URL: a POST is not redirected"
    title = _title(answer)
    if status == 401 and title == "Invalid webhook signature":
        return (
            "this service answered, but neither body nor canary header arrived as sent",
            "let the proxy pass on body and headers as they are",
        )
    if status == 401 and title is not None and title.startswith("Missing "):
        return (
            "this service answered, but body and headers were lost on the way",
            "let the proxy pass on body and headers as they are",
        )
    if status == 400 and title is not None and "Missing required" in title:
        return ("a version of this service without canary answered", "upgrade the service there")
    finding, advice = _BY_STATUS.get(
        status, ("something else than this service answered", f"check the URL; {_PASS}")
    )
    return f"{status}{_who(answer)}: {finding}", advice


def _who(answer: Answer) -> str:
    server = _header(answer, "server")[:40]
    kind = " with a web page" if "html" in _header(answer, "content-type") else ""
    return f"{kind} from {server}" if server else kind


def _header(answer: Answer, name: str) -> str:
    found = (value for key, value in answer.headers.items() if key.lower() == name)
    return next(found, "")


def _title(answer: Answer) -> str | None:
    """The title of a Falcon JSON error."""
    try:
        error: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    title = error.get("title") if isinstance(error, dict) else None
    return title if isinstance(title, str) else None
