"""Look into a refused delivery, tell of it, and keep it where the bounds have room."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from time import monotonic

import structlog

from config.ratelimit import RateLimit
from consumer.detective import Finding
from consumer.errors import SignatureError, SignatureInvalid, SignatureMissing
from consumer.events import Delivery
from consumer.metrics import Metrics
from consumer.metrics.table import REFUSALS_DROPPED
from consumer.refusals.bounds import Bounds
from consumer.storage.dead_letters import DeadLetter, DeadLetters

log = structlog.get_logger(__name__)

_REASONS = (SignatureMissing.reason, SignatureInvalid.reason)
_RECOUNT_EVERY = 60.0
# At most this share of one core goes into finding out why signatures fail.
_INVESTIGATING_SHARE = 0.05


class Keeper:
    """For one thread: it holds when to count what is kept anew, and when to investigate again."""

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
        self._kept = (0, 0)
        self._recount_at = 0.0
        self._investigate_at = 0.0

    def keep(self, delivery: Delivery, error: SignatureError) -> None:
        """Keep one as a dead letter, or count it where it is known; dropped and counted at the
        bounds. Raises StoreUnavailable."""
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
