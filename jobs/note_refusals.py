"""Record the peers whose deliveries are verified here, and the count of refused ones not kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import REFUSALS_DROPPED
from consumer.dead_letters.refusal_notes import KnownPeers, RefusalNotes

# Seconds between two calls: a killed process loses what came since the last.
EVERY = 60.0


class NoteRefusals:
    """The job of every process."""

    def __init__(
        self,
        peers: KnownPeers,
        notes: RefusalNotes,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._peers = peers
        self._notes = notes
        self._metrics = metrics
        self._clock = clock
        self._recorded: dict[str, int] = {}

    def __call__(self) -> None:
        """Record what came since the last call; after StoreUnavailable the next makes up for it."""
        self._peers.sync()
        counted = {
            value.tags["bound"]: int(value.value)
            for value in self._metrics.snapshot()
            if value.metric.name == REFUSALS_DROPPED
        }
        grown = {
            bound: now - self._recorded.get(bound, 0)
            for bound, now in counted.items()
            if now > self._recorded.get(bound, 0)
        }
        if grown:
            self._notes.add_dropped(grown, self._clock())
            self._recorded = counted
