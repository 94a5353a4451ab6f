"""Drain the spool into MongoDB as soon as that takes deliveries again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import structlog

from consumer.core.clock import EPOCH
from consumer.core.delivery import Delivery, Outcome, of_source
from consumer.core.errors import Rejected, StoreUnavailable, place_of
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import (
    SPOOL_BYTES,
    SPOOL_DAMAGED,
    SPOOL_DEPTH,
    SPOOL_DRAINED,
    SPOOL_OLDEST,
)
from consumer.core.ratelimit import RateLimit
from consumer.mongodb.circuit_breaker import CircuitBreaker
from consumer.spool.reader import Entry
from consumer.spool.spool import Spool
from jobs.scheduling.job import JobRun

log = structlog.get_logger(__name__)

# Deliveries between two notes of how far it is; what a crash replays once more.
_BATCH = 256
# Seconds between two lines about a delivery that cannot be stored, tried at every run.
_WARN_EVERY = 3600.0
# Until what alone was put back is tried again, unless something else comes.
_AGAIN = timedelta(seconds=30)
_PUT_BACK, _LEFT = "put_back", "left_in_place"


class DrainSpool:
    """The job, once in each process: it owns the way out of this process's spool.

    `store` makes one delivery durable in MongoDB, as event or dead letter: `Ingest.store`.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        breaker: CircuitBreaker,
        store: Callable[[Delivery], Outcome],
        workers: int,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._spool = spool
        self._breaker = breaker
        self._store = store
        self._workers = workers
        self._metrics = metrics
        self._clock = clock
        self._counted_damaged = 0
        self._put_back, self._again_at = 0, EPOCH
        self._warnings = RateLimit(_WARN_EVERY, clock)

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """Probe MongoDB, then drain until the spool is empty, MongoDB is away again or
        the run is to stop. The result counts deliveries by how they ended."""
        self._spool.recheck()
        ended: Counter[str] = Counter()
        try:
            if (not self._breaker.is_open or self._breaker.probe()) and self._is_worth_it():
                self._drain(run, ended)
        finally:
            self._measure()
        if ended and ended.keys() <= {_PUT_BACK, _LEFT}:
            self._put_back, self._again_at = self._spool.depth, self._clock() + _AGAIN
        if ended:
            log.info("spool drained", left=self._spool.depth, **ended)
        return {"left": self._spool.depth, **ended}

    def _is_worth_it(self) -> bool:
        """False while nothing but what was put back waits: each try writes it to the disk anew."""
        return self._clock() >= self._again_at or self._spool.depth != self._put_back

    def _drain(self, run: JobRun, ended: Counter[str]) -> None:
        # What comes, or is put back, meanwhile is for the next run: so this one ends.
        left, last = self._spool.depth, None
        if not left:
            # Nothing to store, but perhaps damage and emptied files to clear away.
            self._spool.take(1)
            return
        with ThreadPoolExecutor(self._workers, thread_name_prefix="drain") as pool:
            while left > 0 and not run.stopping():
                batch = self._spool.take(min(_BATCH, left), last)
                if not batch:
                    return
                left, last = left - len(batch), batch[-1]
                refused = self._forget(batch, list(pool.map(self._store_entry, batch)), ended)
                if refused and not self._try_singly(refused, ended):
                    return
                self._measure()
                run.progress(left=self._spool.depth, **ended)

    def _store_entry(self, entry: Entry) -> str | None:
        """Store the delivery; its outcome, None when MongoDB did not take it."""
        if self._breaker.is_open:
            return None
        try:
            return self._store(entry.delivery).status
        except Rejected:
            return "dead_lettered"
        except StoreUnavailable as error:
            self._breaker.record_failure(error)
            return None
        except Exception as error:
            # One that breaks us must not block those behind it: it is put back and logged.
            suppressed = self._warnings.allow(entry.delivery.id)
            if suppressed is not None:
                log.error(  # noqa: TRY400  (the message may quote the payload)
                    "a spooled delivery could not be stored",
                    delivery=entry.delivery.id,
                    **of_source(entry.delivery.source),
                    error=type(error).__name__,
                    place=place_of(error),
                    suppressed=suppressed,
                )
            return None

    def _try_singly(self, entries: Sequence[Entry], ended: Counter[str]) -> bool:
        """Try what MongoDB did not take once more, and put back what it alone does not take, for
        that must not keep the space of those behind it; False when MongoDB is away."""
        for entry in entries:
            if not self._breaker.probe():
                return False
            if self._forget([entry], [self._store_entry(entry)], ended):
                if not self._breaker.probe():
                    return False
                try:
                    self._spool.append(entry.delivery)
                except StoreUnavailable:
                    # There is no room: it stays where it is, until the next run.
                    ended[_LEFT] += 1
                else:
                    self._spool.remove([entry])
                    ended[_PUT_BACK] += 1
        return True

    def _forget(
        self, batch: Sequence[Entry], outcomes: Sequence[str | None], ended: Counter[str]
    ) -> list[Entry]:
        """Take what is durable out of the spool; what is not."""
        self._spool.remove(
            entry for entry, how in zip(batch, outcomes, strict=True) if how is not None
        )
        left: list[Entry] = []
        for entry, how in zip(batch, outcomes, strict=True):
            if how is None:
                left.append(entry)
                continue
            ended[how] += 1
            self._metrics.count(SPOOL_DRAINED, source=entry.delivery.source, outcome=how)
        return left

    def _measure(self) -> None:
        oldest = self._spool.oldest()
        age = (self._clock() - oldest).total_seconds() if oldest else 0.0
        self._metrics.set(SPOOL_DEPTH, self._spool.depth)
        self._metrics.set(SPOOL_BYTES, self._spool.size)
        self._metrics.set(SPOOL_OLDEST, max(0.0, age))
        damaged = self._spool.unreadable
        self._metrics.count(SPOOL_DAMAGED, damaged - self._counted_damaged)
        self._counted_damaged = damaged
