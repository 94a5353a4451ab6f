"""Carry one request of Datadog's client, bounded where the client sets no bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from consumer.datadog.proxies import pool_through

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
        """What the client calls; `options` are its headers and body. Raises urllib3's errors."""
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
    """How many faults an accepted request was told of; its texts may quote tags, so only that."""
    try:
        body = json.loads(answer.data)
    except ValueError:
        return 0
    errors = body.get("errors") if isinstance(body, dict) else None
    return len(errors) if isinstance(errors, list) else 0
