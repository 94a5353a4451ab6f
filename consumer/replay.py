"""Try one stored delivery again, and record in its entry how that ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consumer.errors import Held, Rejected, SignatureError
from consumer.events import Delivery, Headers, Verdict
from consumer.ingest import Ingest
from consumer.storage.dead_letters import DeadLetters


@dataclass(frozen=True, slots=True)
class Replayed:
    """How it ended: an outcome's status, or the reason why the entry stays."""

    resolved: bool
    result: str
    message: str = ""


class Replay:
    """Sends dead letters the way of a delivery again; the original bytes are what is replayed."""

    def __init__(
        self, ingest: Ingest, dead_letters: DeadLetters, clock: Callable[[], datetime]
    ) -> None:
        self._ingest = ingest
        self._dead_letters = dead_letters
        self._clock = clock

    def entry(self, entry: Mapping[str, Any], by: str) -> Replayed:
        """Replay one dead letter for `by` (`command line`, `sweep`); raises StoreUnavailable.

        A verdict travels with the entry, because secrets rotate; only signature failures, which
        have none, are verified again, against their original bytes and the time they came.
        """
        delivery = stored_delivery(entry)
        attempt: dict[str, Any] = {"at": self._clock(), "by": by}
        try:
            if delivery.verdict is None:
                delivery = self._ingest.verify(delivery)
            processed = self._ingest.process(delivery)
        except (SignatureError, Rejected, Held) as error:
            attempt |= {"result": error.reason, "error": str(error)}
            self._dead_letters.failed(entry["_id"], str(error), attempt)
            return Replayed(False, error.reason, str(error))
        attempt["result"] = processed.outcome.status
        self._dead_letters.resolve(entry["_id"], processed.document_id, attempt)
        return Replayed(True, processed.outcome.status)


def stored_delivery(entry: Mapping[str, Any]) -> Delivery:
    """The delivery that a dead letter was made of."""
    verdict = entry.get("verdict")
    return Delivery(
        id=entry.get("delivery_id", ""),
        body=bytes(entry["original_payload"]),
        headers=Headers(entry.get("headers") or {}),
        received_at=entry["timestamp"],
        verdict=Verdict(verdict["secret"], verdict["verified_at"]) if verdict else None,
    )
