"""Carry the requests of Datadog's client, with the bounds and the proxy that it does not set.

The meaning of each answer for the points that were sent is read here too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from ipaddress import ip_address, ip_network
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import urllib3

# An answer of Datadog is some dozen bytes.
_MAX_ANSWER = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """As much of a response as the client reads of one; `data` is UTF-8 always, for the client
    decodes it without looking."""

    status: int
    reason: str
    data: bytes
    headers: Mapping[str, str]


class BoundedPool:
    """Stands in for the client's pool: never follows a redirect, which would hand the key to
    another host, never repeats, and ends reading an answer after `timeout` seconds in all.

    `last` is the answer of the last request, for the client raises on good ones with odd bodies.
    """

    def __init__(self, timeout: float, now: Callable[[], float], proxy: str | None = None) -> None:
        self._pool = pool_through(proxy, num_pools=1, maxsize=1, retries=False)
        self._timeout = timeout
        self._now = now
        self.last: Answer | None = None

    def request(self, method: str, url: str, **options: Any) -> Answer:
        """Send a request of the client (`options`: headers, body); raises the errors of urllib3."""
        self.last = None
        end = self._now() + self._timeout
        response = self._pool.request(
            method,
            url,
            headers=options.get("headers"),
            body=options.get("body"),
            timeout=urllib3.Timeout(total=self._timeout),
            redirect=False,
            preload_content=False,
        )
        try:
            data = self._read(response, end)
        finally:
            # Not returned to the pool: an answer read in part would be the next one's beginning.
            response.close()
        text = data.decode("utf-8", "replace")
        self.last = Answer(response.status, response.reason or "", text.encode(), response.headers)
        return self.last

    def clear(self) -> None:
        self._pool.clear()

    def _read(self, response: urllib3.BaseHTTPResponse, end: float) -> bytes:
        data = bytearray()
        while len(data) < _MAX_ANSWER and self._now() < end:
            try:
                part = response.read1(_MAX_ANSWER)
            except urllib3.exceptions.HTTPError:
                # The status came whole, and it says everything we go by.
                break
            if not part:
                break
            data += part
        return bytes(data[:_MAX_ANSWER])


def errors_in(answer: Answer) -> int:
    """The number of faults in an accepted request; their texts may quote tags, so only that."""
    try:
        body = json.loads(answer.data)
    except ValueError:
        return 0
    errors = body.get("errors") if isinstance(body, dict) else None
    return len(errors) if isinstance(errors, list) else 0


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


def pool_through(proxy: str | None, **options: Any) -> urllib3.PoolManager:
    """A pool that goes through `proxy`, `http://[user:password@]host:port`; None: straight."""
    if proxy is None:
        return urllib3.PoolManager(**options)
    scheme, _, rest = proxy.partition("://")
    login, _, place = rest.rpartition("@")
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(f"{scheme}://{place}", proxy_headers=headers, **options)
