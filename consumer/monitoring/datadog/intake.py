"""Send requests to Datadog through its client, and give each outcome as one Reply."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING

import urllib3

from consumer.monitoring.datadog.buffer import Batch
from consumer.monitoring.datadog.replies import Account, Reply, meaning_of, wait_of
from consumer.monitoring.datadog.transport import BoundedPool, errors_in
from consumer.monitoring.datadog.version_events import VersionEvent

if TYPE_CHECKING:
    from consumer.monitoring.datadog.client import Client


class Intake:
    """One client of Datadog, made at first use: its import takes longer than our start may."""

    def __init__(
        self,
        account: Account,
        clock: Callable[[], datetime],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._account = account
        self._clock = clock
        self._pool = BoundedPool(account.timeout, now, account.proxy)
        self._client: Client | None = None
        self._lock = threading.Lock()

    def submit(self, batch: Batch) -> Reply:
        """Send series through `submit_metrics`, compressed. Never raises."""
        return self._call(lambda client: client.submit(batch))

    def post(self, event: VersionEvent) -> Reply:
        """Send an event through the v1 EventsApi, which needs the API key alone. Never raises."""
        return self._call(lambda client: client.post(event))

    def close(self) -> None:
        self._pool.clear()

    def _call(self, request: Callable[[Client], object]) -> Reply:
        with self._lock:
            # Of the request before this one, should this one fail before it is sent.
            self._pool.last = None
            fault, network = "", False
            try:
                request(self._opened())
            except urllib3.exceptions.HTTPError as error:
                fault, network = type(error).__name__, True
            except Exception as error:
                # The client raises on good answers with odd bodies, on bad ones by status, and on
                # values it cannot send; its texts quote all of those, so only its kind is logged.
                fault, network = type(error).__name__, getattr(error, "status", None) == 0
            answer = self._pool.last
        if answer is None:
            return Reply("busy" if network else "refused", fault=fault or "no answer")
        return Reply(
            meaning=meaning_of(answer.status),
            status=answer.status,
            wait=wait_of(answer.headers, self._clock()),
            errors=errors_in(answer),
        )

    def _opened(self) -> Client:
        if self._client is None:
            # Here, as the module says above.
            from consumer.monitoring.datadog.client import Client  # noqa: PLC0415

            self._client = Client(self._account.url, self._account.key, self._pool)
        return self._client
