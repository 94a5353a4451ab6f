"""Write down now and then what this process answered since, for the picture of the last hours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from consumer.histograms import Buckets, increase, merged
from consumer.metrics import Metrics
from consumer.metrics.table import DELIVERIES, DURATION
from consumer.storage.ingest_history import MINUTE, Ended, IngestHistory, Minute
from consumer.timegrid import floor

# Seconds. What a look finds counts for the minute of the look, so looks are much shorter apart.
LOOK_EVERY = 10.0
# Minutes that wait while MongoDB is away; of a longer outage the first ones are forgotten.
_KEPT = timedelta(days=1)
_AT_ONCE = 200


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
        self._counts: dict[str, float] = {}
        self._times: dict[str, tuple[float, Buckets]] = {}
        # Grown, and not yet written as they are now.
        self._waiting: dict[datetime, dict[str, Ended]] = {}
        self._current: tuple[datetime, dict[str, Ended]] | None = None

    def __call__(self) -> None:
        """Look and write; raises StoreUnavailable, and nothing is lost by that."""
        self._look()
        while self._waiting:
            some = dict(list(self._waiting.items())[:_AT_ONCE])
            # What a failed write leaves behind is written again, whole.
            self._history.write(
                self._instance,
                (Minute(at, tuple(ended.values())) for at, ended in some.items()),
            )
            for at in some:
                self._waiting.pop(at, None)

    def _look(self) -> None:
        grown = self._grown()
        if not grown:
            return
        now = floor(self._clock(), MINUTE)
        # A clock that was set back must not replace a minute that is written.
        at, ended = self._current or (now, {})
        if now > at:
            at, ended = now, {}
        for each in grown:
            ended[each.outcome] = _sum(ended.get(each.outcome), each)
        self._current = at, ended
        self._waiting[at] = ended
        for old in [old for old in self._waiting if old <= at - _KEPT]:
            del self._waiting[old]

    def _grown(self) -> list[Ended]:
        """What was answered since the last look."""
        found: list[Ended] = []
        times = {value.tags["outcome"]: value for value in self._metrics.values(DURATION)}
        for value in self._metrics.values(DELIVERIES):
            outcome = value.tags["outcome"]
            count = int(value.value - self._counts.get(outcome, 0))
            # A delivery is counted just before it is timed: its time may come with the next look.
            if not count or outcome not in times:
                continue
            seconds, buckets = times[outcome].value, times[outcome].buckets
            earlier, before = self._times.get(outcome, (0.0, ()))
            found.append(Ended(outcome, count, seconds - earlier, increase(buckets, before)))
            self._counts[outcome] = value.value
            self._times[outcome] = seconds, buckets
        return found


def _sum(ended: Ended | None, more: Ended) -> Ended:
    if ended is None:
        return more
    return Ended(
        more.outcome,
        ended.count + more.count,
        ended.seconds + more.seconds,
        merged((ended.buckets, more.buckets)),
    )
