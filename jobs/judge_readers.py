"""Measure in how many fields each reader is broken, once for all processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import READERS_BROKEN
from consumer.readers.judge import Judge
from jobs.scheduling.job import JobRun


class JudgeReaders:
    """The job of the one process that holds its lease; `newest` are all subjects with their newest
    version."""

    def __init__(
        self, judge: Judge, newest: Callable[[], Mapping[str, int]], metrics: Metrics
    ) -> None:
        self._judge = judge
        self._newest = newest
        self._metrics = metrics

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """Set the gauge of every pin, 0 where nothing is broken, so that a monitor recovers; the
        result says how many. Raises StoreUnavailable."""
        values = [
            ({"reader": reader, "event_type": subject}, tally.broken.get(reader, 0))
            for subject, tally in self._judge.tallies(self._newest, run.stopping).items()
            for reader in tally.readers
        ]
        if not run.stopping():
            self._metrics.replace(READERS_BROKEN, values)
        return {"pins": len(values), "broken": sum(value > 0 for _, value in values)}
