"""Say where to report to, and what an answer of Datadog's means for what was sent.

Free of urllib3, whose import is a fourteenth of our start: most have no Datadog.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from ipaddress import ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Account:
    """The account to report to: base URL, API key, the seconds a request may take, and the proxy
    on the way."""

    url: str
    key: str = field(repr=False)
    timeout: float = 10.0
    proxy: str | None = field(default=None, repr=False)


Meaning = Literal["accepted", "busy", "too_large", "bad", "unauthorised", "refused", "not_sent"]

# An hour-long Retry-After would cost every point in the buffer.
MAX_WAIT = 300.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of one request. `status` is None without an answer; `wait` the seconds the server
    asked for; `errors` the number of faults in an accepted request; `fault` the kind of failure,
    fit for a log."""

    meaning: Meaning
    status: int | None = None
    wait: float | None = None
    errors: int = 0
    fault: str = ""

    @property
    def text(self) -> str:
        return f"status {self.status}" if self.status is not None else self.fault


def meaning_of(status: int) -> Meaning:
    """`busy` alone is tried again at once; `refused` waits for the next report."""
    if 200 <= status < 300:
        return "accepted"
    if status in (408, 429) or status >= 500:
        return "busy"
    known: dict[int, Meaning] = {
        400: "bad",
        401: "unauthorised",
        403: "unauthorised",
        413: "too_large",
    }
    return known.get(status, "refused")


def wait_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait by `X-RateLimit-Reset` (seconds until the reset) or `Retry-After` (seconds
    or an HTTP date), between 0 and MAX_WAIT; None where neither can be read."""
    lower = {name.lower(): value for name, value in headers.items()}
    for name in ("x-ratelimit-reset", "retry-after"):
        seconds = _seconds(lower.get(name, "").strip(), now)
        if seconds is not None:
            return min(max(seconds, 0.0), MAX_WAIT)
    return None


def _seconds(text: str, now: datetime) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return (date - now).total_seconds()


def is_exempt(url: str, no_proxy: str) -> bool:
    """Say if `NO_PROXY` names the host of a URL: by itself, with its port, by a domain it is in
    (`.example.com` or `example.com`), as an address in a network, or as `*`."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower(), parts.port or 443
    for entry in re.split(r"[,\s]+", no_proxy.lower()):
        name = entry.removeprefix("*").strip("[]").lstrip(".")
        if entry == "*" or name in (host, f"{host}:{port}", f"[{host}]:{port}"):
            return True
        if name and (host.endswith(f".{name}") or _is_in(host, name)):
            return True
    return False


def _is_in(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
