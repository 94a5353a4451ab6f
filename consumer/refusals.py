"""Keep deliveries refused for their signature, off the request path and within bounds."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import structlog

from config.ratelimit import RateLimit
from consumer.detective import Finding
from consumer.errors import SignatureError, SignatureInvalid, SignatureMissing, StoreUnavailable
from consumer.events import Delivery, Headers
from consumer.metrics import Metrics
from consumer.metrics.table import REFUSALS_DROPPED
from consumer.storage.dead_letters import DeadLetter, DeadLetters

log = structlog.get_logger(__name__)

_REASONS = (SignatureMissing.reason, SignatureInvalid.reason)
_RECOUNT_EVERY = 60.0
# At most this share of one core goes into finding out why signatures fail.
_INVESTIGATING_SHARE = 0.05
# A flood of forged deliveries must not become a flood of writes.
_KEPT_A_SECOND = 200


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be kept in MongoDB, over all processes, and may wait here to be kept."""

    max_count: int
    max_bytes: int
    queue_count: int = 256
    queue_bytes: int = 16 * 1024 * 1024


class Refusals:
    """A bounded queue and the thread that empties it; at the bounds the oldest stay.

    `offer` never blocks and never raises: whoever cannot sign has no claim on this service's time.
    """

    def __init__(
        self,
        *,
        dead_letters: DeadLetters,
        investigate: Callable[[Delivery], Finding | None],
        bounds: Bounds,
        metrics: Metrics,
        warnings: RateLimit,
    ) -> None:
        self._dead_letters = dead_letters
        self._investigate = investigate
        self._bounds = bounds
        self._metrics = metrics
        self._warnings = warnings
        self._waiting: deque[tuple[Delivery, SignatureError]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._handling = False
        self._stopping = False
        self._kept = (0, 0)
        self._recount_at = 0.0
        self._investigate_at = 0.0
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
                self._handle(delivery, error)
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

    def _handle(self, delivery: Delivery, error: SignatureError) -> None:
        finding = self._look_into(delivery)
        self._warn(delivery, error, finding)
        digest = hashlib.sha256(delivery.body).hexdigest()
        details = {"diagnosis": finding.advice} if finding else None
        if self._dead_letters.count_again(error.reason, digest, delivery.received_at, details):
            return
        count, size = self._footprint()
        if count >= self._bounds.max_count or size + len(delivery.body) > self._bounds.max_bytes:
            self._metrics.count(REFUSALS_DROPPED, bound="kept")
            return
        self._kept = (count + 1, size + len(delivery.body))
        self._dead_letters.keep(
            DeadLetter(
                delivery=delivery,
                digest=digest,
                reason=error.reason,
                error_message=str(error),
                details=details,
            )
        )

    def _look_into(self, delivery: Delivery) -> Finding | None:
        """What the detective finds, for a sample that keeps its cost a small share of the time."""
        started = monotonic()
        if started < self._investigate_at:
            return None
        finding = self._investigate(delivery)
        ended = monotonic()
        self._investigate_at = ended + (ended - started) / _INVESTIGATING_SHARE
        return finding

    def _footprint(self) -> tuple[int, int]:
        """Entries and bytes kept; counted anew at times, for other processes keep and drop too."""
        if monotonic() >= self._recount_at:
            self._kept = self._dead_letters.footprint(_REASONS)
            self._recount_at = monotonic() + _RECOUNT_EVERY
        return self._kept

    def _warn(self, delivery: Delivery, error: SignatureError, finding: Finding | None) -> None:
        diagnosis = finding.advice if finding else None
        suppressed = self._warnings.allow(f"{error.reason} {diagnosis}")
        if suppressed is not None:
            log.warning(
                "refused",
                delivery=delivery.id,
                reason=error.reason,
                diagnosis=diagnosis or "none found",
                suppressed=suppressed,
            )
