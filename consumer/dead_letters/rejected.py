"""Store verified deliveries that cannot become a document as dead letters, and log the reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import Any

import structlog

from consumer.core.delivery import Delivery, body_digest, of_source
from consumer.core.errors import ChangeRejected, Held, MalformedJson, Rejected
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import REJECTED
from consumer.core.text import Hidden, hexdump
from consumer.dead_letters.store import DeadLetter, DeadLetters
from consumer.ingest.source import Sources
from consumer.privacy.rules import Redaction

log = structlog.get_logger(__name__)

# Bodies that may wait for their masks; of more the log shows no bytes.
_MAX_WAITING = 8
# What is read of each; where it breaks further back, the log shows nothing but punctuation.
_MASKED_BYTES = 16 * 1024


class RejectionStore:
    """Makes dead letters of verified deliveries; `hex_bytes` of a malformed body are logged, less
    what `redaction` hides, and none where it is 0."""

    def __init__(
        self,
        *,
        sources: Sources,
        dead_letters: DeadLetters,
        metrics: Metrics,
        hex_bytes: int,
        redaction: Redaction,
    ) -> None:
        self._sources = sources
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._hex_bytes = hex_bytes
        self._redaction = redaction
        # Masking takes milliseconds, which the sender shall not wait for.
        self._masking = ThreadPoolExecutor(1, thread_name_prefix="masking")
        self._slots = Semaphore(_MAX_WAITING)

    def store(self, delivery: Delivery, error: Rejected | Held) -> None:
        """Store a delivery for the reason of `error`; raises StoreUnavailable."""
        event_id, event_type = self._sources.identify(
            delivery.source, delivery.body, delivery.headers
        )
        self._dead_letters.add(
            DeadLetter(
                delivery=delivery,
                digest=body_digest(delivery.body),
                identity=self._sources.identity(delivery),
                reason=error.reason,
                error_message=error.explained,
                event_id=event_id,
                event_type=event_type,
                details=error.details if isinstance(error, Held) else None,
                unwanted=isinstance(error, ChangeRejected),
            )
        )
        self._metrics.count(REJECTED, source=delivery.source, reason=error.reason)
        fields: dict[str, Any] = {
            "delivery": delivery.id,
            **of_source(delivery.source),
            "subject": event_type,
            "reason": error.reason,
            "bytes": len(delivery.body),
            "error": error.explained,
        }
        if not isinstance(error, MalformedJson) or not self._hex_bytes:
            log.warning("dead letter", **fields)
        elif not self._redaction:
            log.warning("dead letter", **fields, hex=self._hex(delivery.body, error.position))
        elif not self._log_in_background(delivery.body, error.position, fields):
            log.warning("dead letter", **fields)

    def _log_in_background(self, *arguments: Any) -> bool:
        if not self._slots.acquire(blocking=False):
            return False
        try:
            self._masking.submit(self._log_masked, *arguments)
        except RuntimeError:
            # The program is about to end.
            self._slots.release()
            return False
        return True

    def _log_masked(self, body: bytes, position: int | None, fields: dict[str, Any]) -> None:
        try:
            hidden = self._redaction.body(body, fields["subject"], _MASKED_BYTES).hidden
            log.warning("dead letter", **fields, hex=self._hex(body, position, hidden))
        finally:
            self._slots.release()

    def _hex(self, body: bytes, position: int | None, hidden: Hidden | None = None) -> str:
        return hexdump(body, position, self._hex_bytes, hidden)
