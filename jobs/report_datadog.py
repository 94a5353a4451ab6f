"""Report the metrics of this process to Datadog, and what could not be sent before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from consumer.core.metrics import Metrics
from consumer.monitoring.datadog.points import Common, MetricDeltas, Point, freeze
from consumer.monitoring.datadog.sink import Sink
from jobs.scheduling.job import JobRun

# The share of an interval that sending may take, so that the next report begins in time.
_SHARE = 0.8


class ReportDatadog:
    """The job of every process: its counts since the last report, its gauges, and what it measured
    for the whole fleet since then, as only the holder of a lease does.

    `common` goes with its own points, `fleet` with those of all processes together.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        sink: Sink,
        common: Common,
        fleet: Common,
        clock: Callable[[], datetime],
    ) -> None:
        self._metrics = metrics
        self._sink = sink
        self._common = common
        self._fleet = fleet
        self._clock = clock
        self._deltas = MetricDeltas()
        self._second = 0

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """Freeze a report and send all that waits; its result has the numbers."""
        added = self._freeze()
        run.progress(points=added)
        flushed = self._sink.flush(run.stopping, self._common.interval * _SHARE)
        status = self._sink.status
        return {
            "points": added,
            "sent": flushed.sent,
            "dropped": flushed.dropped,
            "waiting": status.buffered,
            "last_success": status.last_success,
            "state": status.text,
        }

    def finish(self, seconds: float) -> None:
        """The last report of a process that ends: what it counted since, in one attempt."""
        self._freeze()
        self._sink.flush(lambda: False, seconds, attempts=1)

    def _freeze(self) -> int:
        # Counts of two reports in one second would be one point.
        now = int(self._clock().timestamp())
        self._second = self._second + 1 if 0 <= self._second - now <= 1 else now
        gauges_set = self._metrics.take_gauges_set()
        readings = self._deltas.readings(self._metrics.snapshot(), gauges_set)
        points: list[Point] = []
        for of_fleet, common in ((False, self._common), (True, self._fleet)):
            mine = [reading for reading in readings if reading.fleet == of_fleet]
            found, dropped = freeze(mine, common, self._second)
            points += found
            for reason, count in dropped.items():
                self._sink.count_dropped(reason, count)
        self._sink.add(points)
        return len(points)
