"""What the ways of filling share during one pass over the documents of a subject."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from consumer.storage.backfill_store import BackfillStore, Upgraded
from consumer.storage.migration_failures import Causes, MigrationFailures
from jobs.backfill_pace import Pace


@dataclass(frozen=True, slots=True)
class Parts:
    """What a backfill works with; `timer` counts seconds, `sleep` waits them."""

    store: BackfillStore
    failures: MigrationFailures
    clock: Callable[[], datetime]
    timer: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Tally:
    """Counts of what became of a subject's documents; `unfilled` of them were stamped without all
    of what they lack, `left` keep what was filled in of retired fields."""

    documents: int = 0
    unfilled: int = 0
    failed: int = 0
    left: int = 0


@dataclass(slots=True)
class Pass:
    """One pass: whose documents, how fast, when to end, and how far it is."""

    subject: str
    parts: Parts
    pace: Pace
    stopping: Callable[[], bool]
    told: Callable[[Upgraded], None]
    tally: Tally = field(default_factory=Tally)
    causes: Causes = field(default_factory=Causes)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, batch: Upgraded) -> None:
        """Count what a batch did, and tell it; several threads may."""
        with self._lock:
            self.tally.documents += batch.documents
            self.tally.unfilled += batch.unfilled
            self.tally.failed += len(batch.refused)
            self.tally.left += batch.left
            self.causes.add(batch.refused)
            self.told(batch)
