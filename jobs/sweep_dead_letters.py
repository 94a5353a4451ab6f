"""Retry dead letters when their time has come or what they wait for has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from consumer.core.errors import MalformedJson
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import DEAD_LETTERS, DEAD_LETTERS_OLDEST, RETRIES
from consumer.dead_letters.conditions import REQUEUE_PARKED, WAITS_FOR, ConditionStore
from consumer.dead_letters.replay import Replay
from consumer.dead_letters.requeue import Requeue
from consumer.dead_letters.retry import OPEN, UNRESOLVED
from consumer.dead_letters.store import DeadLetters
from jobs.scheduling.job import JobRun

log = structlog.get_logger(__name__)

_BY = "sweep"
_PAGE = 500


class SweepDeadLetters:
    """One sweep a call. Safe in any number of processes at a time: each entry is claimed, and an
    event has one `_id` however often it is tried."""

    def __init__(
        self,
        *,
        replay: Replay,
        dead_letters: DeadLetters,
        requeue: Requeue,
        conditions: ConditionStore,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._replay = replay
        self._dead_letters = dead_letters
        self._requeue = requeue
        self._conditions = conditions
        self._metrics = metrics
        self._clock = clock
        self._measured: set[tuple[str, str]] = set()

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """Requeue and try; the result counts both, and the ends. Raises StoreUnavailable."""
        requeued = self._requeue_changed(run)
        ended = self._try_due(run)
        self._measure()
        return {"woken": requeued, "tried": sum(ended.values()), "ended": dict(ended)}

    def _requeue_changed(self, run: JobRun) -> int:
        """Make due once what waits for something that is another now."""
        conditions = self._conditions.read()
        requeued = 0
        for group in self._requeue.groups(WAITS_FOR, UNRESOLVED):
            if run.stopping():
                return requeued
            now = conditions.of(group.blocked_by, group.event_type)
            if group.tried_with == now.fingerprint:
                continue
            statuses = UNRESOLVED if group.blocked_by in REQUEUE_PARKED else OPEN
            before = now.since if group.tried_with is None else None
            requeued += self._requeue.make_due(
                group, statuses, now.fingerprint, before, conditions.constraints
            )
            if before is not None:
                self._requeue.mark_tried(group, statuses, now.fingerprint)
        return requeued

    def _try_due(self, run: JobRun) -> Counter[str]:
        rules = self._replay.rules
        without = () if rules.auto_repair else (MalformedJson.reason,)
        ended: Counter[str] = Counter()
        # What fails again at once must not keep one sweep going for ever.
        seen: set[str] = set()
        while not run.stopping():
            ids = [_id for _id in self._dead_letters.claims.due(_PAGE, without) if _id not in seen]
            if not ids:
                break
            for _id in ids:
                if run.stopping():
                    break
                seen.add(_id)
                replayed = self._replay.due(_id, _BY)
                if replayed is None:
                    continue
                outcome = "resolved" if replayed.resolved else replayed.status or replayed.result
                ended[outcome] += 1
                self._metrics.count(RETRIES, outcome=outcome)
                log.info("dead letter tried", entry=_id, outcome=outcome, result=replayed.result)
                run.progress(tried=sum(ended.values()))
        return ended

    def _measure(self) -> None:
        """Refresh the gauges; a kind of entry that is gone goes back to 0."""
        found: dict[tuple[str, str], int] = dict.fromkeys(self._measured, 0)
        oldest: datetime | None = None
        for reason, status, count, came in self._dead_letters.depths():
            found[reason, status] = count
            if status in UNRESOLVED:
                oldest = came if oldest is None else min(oldest, came)
        for (reason, status), count in found.items():
            self._metrics.set(DEAD_LETTERS, count, reason=reason, status=status)
        self._measured = set(found)
        age = (self._clock() - oldest).total_seconds() if oldest else 0.0
        self._metrics.set(DEAD_LETTERS_OLDEST, max(0.0, age))
