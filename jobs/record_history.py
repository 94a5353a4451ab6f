"""Record what this process answered since the last call, for the chart of the last hours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from consumer.core.clock import floor
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import DELIVERIES, DURATION
from consumer.monitoring.ingest_history import GRAINS, IngestHistory
from consumer.monitoring.outcomes import Buckets, OutcomeStats, Period, by_outcome, increase

# Seconds. What a look finds counts for the minute of the look, so looks are much shorter apart.
LOOK_EVERY = 10.0
# What waits while MongoDB is away; of a longer outage the first periods are forgotten.
_KEPT = timedelta(days=1)
_AT_ONCE = 200

_Tags = tuple[tuple[str, str], ...]


class RecordHistory:
    """The job of every process. Nothing of it is on the way of a delivery: it reads the counters
    of /metrics, and MongoDB may be away for as long as it likes."""

    def __init__(
        self,
        metrics: Metrics,
        history: IngestHistory,
        instance: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._metrics = metrics
        self._history = history
        self._instance = instance
        self._clock = clock
        # By the tags: outcome, and the source where there are several.
        self._counts: dict[_Tags, float] = {}
        self._times: dict[_Tags, tuple[float, Buckets]] = {}
        self._series = {grain: _Series(grain) for grain in GRAINS}

    def __call__(self) -> None:
        """Look and write; raises StoreUnavailable, and nothing is lost by that."""
        grown, now = self._grown(), self._clock()
        if grown:
            for series in self._series.values():
                series.add(grown, now)
        for grain, series in self._series.items():
            while some := series.waiting(_AT_ONCE):
                # What a failed write leaves behind is written again, whole.
                self._history.write(self._instance, grain, some)
                series.written(some)

    def _grown(self) -> list[OutcomeStats]:
        """The answers since the last look, by outcome."""
        found: list[OutcomeStats] = []
        times = {tuple(value.tags.items()): value for value in self._metrics.values(DURATION)}
        for value in self._metrics.values(DELIVERIES):
            tags = tuple(value.tags.items())
            count = int(value.value - self._counts.get(tags, 0))
            # A delivery is counted just before it is timed: its time may come with the next look.
            if not count or tags not in times:
                continue
            seconds, buckets = times[tags].value, times[tags].buckets
            earlier, before = self._times.get(tags, (0.0, ()))
            outcome = value.tags["outcome"]
            found.append(OutcomeStats(outcome, count, seconds - earlier, increase(buckets, before)))
            self._counts[tags] = value.value
            self._times[tags] = seconds, buckets
        return found


class _Series:
    """Answers of this process by periods of one grain: those that wait to be written, and the
    last, which still grows."""

    def __init__(self, grain: timedelta) -> None:
        self._grain = grain
        self._last: Period | None = None
        self._waiting: dict[datetime, Period] = {}

    def add(self, grown: Iterable[OutcomeStats], now: datetime) -> None:
        last, at = self._last, floor(now, self._grain)
        # A clock that was set back must not replace a period that is written.
        if last is None or last.at < at:
            last = Period(at, ())
        self._last = last = Period(last.at, by_outcome((*last.outcomes, *grown)))
        self._waiting[last.at] = last
        for old in [old for old in self._waiting if old <= last.at - _KEPT]:
            del self._waiting[old]

    def waiting(self, most: int) -> list[Period]:
        """The longest waiting ones."""
        return list(self._waiting.values())[:most]

    def written(self, periods: Iterable[Period]) -> None:
        for period in periods:
            self._waiting.pop(period.at, None)
