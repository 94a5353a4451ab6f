"""Say who answered in place of this service, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from consumer.doctor.post import Answer
from consumer.web.webhook import ROUTE

_PASS = f"let the proxy pass POST {ROUTE} to this service (CXONE_LISTEN)"

# By status: what it means when no canary report came with it, and what to do.
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


def explain(answer: Answer) -> tuple[str, str]:
    """(finding, advice) for an answer that is no canary report."""
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
