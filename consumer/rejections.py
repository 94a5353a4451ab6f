"""Keep what cannot become a document, and say why."""

from __future__ import annotations

import hashlib
from typing import Any

import structlog

from consumer.errors import ContractHold, Held, MalformedJson, Rejected
from consumer.events import Delivery
from consumer.hexdump import hexdump
from consumer.metrics import Metrics
from consumer.metrics.table import REJECTED
from consumer.parsing import EventParser
from consumer.redaction import Redaction
from consumer.storage.dead_letters import DeadLetter, DeadLetters

log = structlog.get_logger(__name__)


class Rejections:
    """Makes dead letters of verified deliveries; `hex_bytes` of a malformed body are logged, less
    what `redaction` hides, and none where it is 0."""

    def __init__(
        self,
        *,
        parser: EventParser,
        dead_letters: DeadLetters,
        metrics: Metrics,
        hex_bytes: int,
        redaction: Redaction,
    ) -> None:
        self._parser = parser
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._hex_bytes = hex_bytes
        self._redaction = redaction

    def keep(self, delivery: Delivery, error: Rejected | Held) -> None:
        """Keep a delivery for the reason of `error`; raises StoreUnavailable."""
        event_id, event_type = self._parser.identify(delivery.body)
        self._dead_letters.keep(
            DeadLetter(
                delivery=delivery,
                digest=hashlib.sha256(delivery.body).hexdigest(),
                reason=error.reason,
                error_message=str(error),
                event_id=event_id,
                event_type=event_type,
                details={"changes": error.changes} if isinstance(error, ContractHold) else None,
            )
        )
        self._metrics.count(REJECTED, reason=error.reason)
        fields: dict[str, Any] = {"error": str(error)}
        if isinstance(error, MalformedJson) and self._hex_bytes:
            fields["hex"] = self._hex(delivery.body, error.position, event_type)
        log.warning(
            "dead letter",
            delivery=delivery.id,
            subject=event_type,
            reason=error.reason,
            bytes=len(delivery.body),
            **fields,
        )

    def _hex(self, body: bytes, position: int | None, event_type: str | None) -> str:
        hidden = self._redaction.body(body, event_type).hidden if self._redaction else None
        return hexdump(body, position, self._hex_bytes, hidden)
