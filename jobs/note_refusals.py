"""Note who delivers here, and what was refused and not kept: for the fleet, and for the doctor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import REFUSALS_DROPPED
from consumer.dead_letters.fair_share import KnownPeers

# Seconds between notes: what a killed process does not tell.
EVERY = 60.0


class Book(Protocol):
    """Where drops are noted: `consumer.dead_letters.refusal_notes.RefusalNotes`."""

    def add_dropped(self, bounds: dict[str, int], at: datetime, /) -> None: ...


class NoteRefusals:
    """The job of every process."""

    def __init__(
        self, peers: KnownPeers, book: Book, metrics: Metrics, clock: Callable[[], datetime]
    ) -> None:
        self._peers = peers
        self._book = book
        self._metrics = metrics
        self._clock = clock
        self._told: dict[str, int] = {}

    def __call__(self) -> None:
        """Note what came since the last call; raises StoreUnavailable, and then makes up for it."""
        self._peers.tell()
        counted = {
            value.tags["bound"]: int(value.value)
            for value in self._metrics.snapshot()
            if value.metric.name == REFUSALS_DROPPED
        }
        grown = {
            bound: now - self._told.get(bound, 0)
            for bound, now in counted.items()
            if now > self._told.get(bound, 0)
        }
        if grown:
            self._book.add_dropped(grown, self._clock())
            self._told = counted
