"""Report how far each schema version has spread, at the cost of the events since the last run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from consumer.adoption.figures import SubjectFigures
from consumer.adoption.report import Heads, report
from consumer.adoption.rollup import Bounds, Stores, claim, recount, reopen, roll_up
from consumer.core import metrics_table as names
from consumer.core.metrics import Metrics
from consumer.mongodb.retention import retained_from
from jobs.scheduling.job import JobRun

_CUT_OFF = timedelta(minutes=2)

GAUGES = {
    names.VERSION_TOTAL: "total",
    names.VERSION_ADOPTED: "adopted",
    names.VERSION_ADOPTION_RATE: "adoption_rate",
    names.VERSION_PRODUCER_RATE: "producer_adoption_rate",
    names.VERSION_CONFORMING_RATE: "conforming_rate",
    names.VERSION_UNFILLED: "unfilled",
}


class Adoption:
    """The job: roll up what is closed, report, and set the gauges.

    `latest` is the last report of this process; a metric is set for what is known only.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        heads: Heads,
        metrics: Metrics,
        retention_days: int,
        clock: Callable[[], datetime],
        ahead: Callable[[], timedelta] = timedelta,
    ) -> None:
        """`ahead`: how far the clock is ahead of MongoDB's."""
        self._ahead = ahead
        self._stores = stores
        self._heads = heads
        self._metrics = metrics
        self._retention_days = retention_days
        self._clock = clock
        self.latest: list[SubjectFigures] = []

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """`{"figures": [...]}` with one dict for each SubjectFigures; `{"stopped": True}` if it
        ended early. Raises Superseded, StoreUnavailable."""
        now = self._clock()
        bounds = Bounds(now, retained_from(now, self._retention_days), self._ahead())

        def progress(at: datetime) -> None:
            run.progress(counted_to=at)

        # Whoever deletes counts again; this is for those who were cut off.
        recount(self._stores, bounds, run.stopping, progress, _CUT_OFF)
        state = claim(self._stores, run.fence, now)
        late = self._stores.mark.late()
        if late is not None:
            state = reopen(self._stores, state, late[1])
        state = roll_up(self._stores, state, bounds, run.stopping, progress)
        if run.stopping():
            return {"stopped": True}
        if late is not None:
            self._stores.mark.clear_late(late[0])
        self.latest = report(self._stores, self._heads, bounds).figures
        set_gauges(self._metrics, self.latest)
        return {"counted_to": state.counted, "figures": [asdict(each) for each in self.latest]}


def set_gauges(metrics: Metrics, figures: list[SubjectFigures]) -> None:
    """Set the six gauges, and those alone: a subject that is no more leaves no value behind."""
    for name, field in GAUGES.items():
        values = ((each.subject, getattr(each, field)) for each in figures)
        metrics.replace(
            name, [({"event_type": tag}, value) for tag, value in values if value is not None]
        )
