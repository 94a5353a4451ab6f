"""Let refused deliveries wait for their turn, off the request path."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import structlog

from consumer.errors import SignatureError, StoreUnavailable
from consumer.events import Delivery, Headers
from consumer.metrics import Metrics
from consumer.metrics.table import REFUSALS_DROPPED
from consumer.refusals.bounds import Bounds

log = structlog.get_logger(__name__)

# A flood of forged deliveries must not become a flood of writes.
_KEPT_A_SECOND = 200


class Refusals:
    """A bounded queue and the thread that empties it into `keep`; at the bounds the oldest stay.

    `offer` never blocks and never raises: whoever cannot sign has no claim on this service's time.
    """

    def __init__(
        self,
        *,
        keep: Callable[[Delivery, SignatureError], None],
        bounds: Bounds,
        metrics: Metrics,
    ) -> None:
        self._keep = keep
        self._bounds = bounds
        self._metrics = metrics
        self._waiting: deque[tuple[Delivery, SignatureError]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._handling = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Keep what waits, for at most `timeout` seconds, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def settle(self, timeout: float) -> bool:
        """Wait until everything offered so far is kept; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._handling, timeout)

    def offer(self, delivery: Delivery, error: SignatureError) -> None:
        """Take a refused delivery to be kept and looked into; dropped and counted when full."""
        size = len(delivery.body)
        with self._changed:
            full = (
                len(self._waiting) >= self._bounds.queue_count
                or self._waiting_bytes + size > self._bounds.queue_bytes
            )
            if not full and not self._stopping:
                # The environ behind the headers ends with the request: copy those worth keeping.
                kept = Delivery(
                    delivery.id, delivery.body, Headers(delivery.headers), delivery.received_at
                )
                # A new error: the one on its way up holds the frames of the whole request.
                self._waiting.append((kept, type(error)(str(error))))
                self._waiting_bytes += size
                self._changed.notify_all()
                return
        self._metrics.count(REFUSALS_DROPPED, bound="queue")

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if not self._waiting:
                    return
                delivery, error = self._waiting.popleft()
                self._waiting_bytes -= len(delivery.body)
                self._handling = True
                stopping = self._stopping
            try:
                self._keep(delivery, error)
            except StoreUnavailable:
                self._metrics.count(REFUSALS_DROPPED, bound="store")
            except Exception:
                # This thread serves every refusal to come; one that breaks it is told and dropped.
                log.exception("refused delivery could not be kept", delivery=delivery.id)
                self._metrics.count(REFUSALS_DROPPED, bound="fault")
            with self._changed:
                self._handling = False
                self._changed.notify_all()
                if not stopping:
                    self._changed.wait_for(lambda: self._stopping, 1 / _KEPT_A_SECOND)
