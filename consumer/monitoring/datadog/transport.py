"""Carry the requests of Datadog's client, with the bounds and the proxy that it does not set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

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


def pool_through(proxy: str | None, **options: Any) -> urllib3.PoolManager:
    """A pool that goes through `proxy`, `http://[user:password@]host:port`; None: straight."""
    if proxy is None:
        return urllib3.PoolManager(**options)
    scheme, _, rest = proxy.partition("://")
    login, _, place = rest.rpartition("@")
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(f"{scheme}://{place}", proxy_headers=headers, **options)
