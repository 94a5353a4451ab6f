"""Under which names, kinds and tags the rows of the metrics table reach Datadog."""

from __future__ import annotations

from collections.abc import Callable

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import TABLE, Kind
from consumer.monitoring.datadog.points import MetricDeltas, Reading


def readings_of_every_row() -> list[Reading]:
    """Readings of a process that has a value for each metric, under one set of tags."""
    metrics = Metrics()
    tell: dict[Kind, Callable[..., None]]
    tell = {"counter": metrics.count, "gauge": metrics.set, "histogram": metrics.observe}
    for row in TABLE:
        tell[row.kind](row.name, 1, **dict.fromkeys(row.tags, "any"))
    return MetricDeltas().readings(metrics.snapshot(), metrics.take_gauges_set())
