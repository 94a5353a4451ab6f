"""Datadog gets what /metrics shows: counts since the last report, gauges, and percentiles."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import TABLE, Metric
from consumer.monitoring.datadog.points import MetricDeltas, Reading
from consumer.monitoring.outcomes import percentile
from tests.support.datadog import readings_of_every_row

ROWS = (
    Metric("a.count", "counter", "event", "x", ("outcome",)),
    Metric("a.depth", "gauge", "1", "x"),
    Metric("a.time", "histogram", "second", "x"),
    Metric("a.fleet", "gauge", "document", "x", ("event_type",), fleet=True),
)


def readings_of(deltas: MetricDeltas, metrics: Metrics) -> dict[str, float]:
    marks = metrics.take_gauges_set()
    return {reading.name: reading.value for reading in deltas.readings(metrics.snapshot(), marks)}


def test_counters_are_reported_as_counts_since_the_last_report() -> None:
    metrics, deltas = Metrics(ROWS), MetricDeltas()
    metrics.count("a.count", 3, outcome="x")

    first = deltas.readings(metrics.snapshot(), set())
    metrics.count("a.count", 2, outcome="x")
    second = readings_of(deltas, metrics)
    third = readings_of(deltas, metrics)

    assert Reading("a.count", "count", 3, {"outcome": "x"}, "event") in first
    assert (second["a.count"], third["a.count"]) == (2, 0)


def test_counts_of_all_reports_sum_up_to_the_counter() -> None:
    metrics, deltas = Metrics(ROWS), MetricDeltas()
    total = 0.0
    for amount in (5, 0, 1, 7):
        metrics.count("a.count", amount, outcome="x")
        total += readings_of(deltas, metrics)["a.count"]

    assert total == 13


def test_gauges_are_reported_as_they_stand() -> None:
    metrics, deltas = Metrics(ROWS), MetricDeltas()
    metrics.set("a.depth", 4)

    assert readings_of(deltas, metrics)["a.depth"] == readings_of(deltas, metrics)["a.depth"] == 4


def test_value_of_the_fleet_is_reported_once_by_who_measured_it() -> None:
    metrics, deltas = Metrics(ROWS), MetricDeltas()
    metrics.set("a.fleet", 4, event_type="x")

    first, second = readings_of(deltas, metrics), readings_of(deltas, metrics)
    metrics.replace("a.fleet", [({"event_type": "y"}, 5)])
    third = readings_of(deltas, metrics)

    assert first["a.fleet"] == 4
    assert "a.fleet" not in second
    assert third["a.fleet"] == 5


def test_histograms_become_count_average_and_percentiles_of_the_interval() -> None:
    metrics, deltas = Metrics(ROWS), MetricDeltas()
    metrics.observe("a.time", 9.0)
    readings_of(deltas, metrics)
    for seconds in (0.2, 0.2, 0.2, 0.4):
        metrics.observe("a.time", seconds)

    found = readings_of(deltas, metrics)

    assert found["a.time.count"] == 4
    assert found["a.time.avg"] == pytest.approx(0.25)
    assert 0.1 < found["a.time.p50"] <= 0.25
    assert 0.25 < found["a.time.p95"] <= found["a.time.p99"] <= 0.5


def test_histogram_without_observations_has_a_count_and_no_percentile() -> None:
    metrics, deltas = Metrics(ROWS), MetricDeltas()

    found = readings_of(deltas, metrics)

    assert found["a.time.count"] == 0
    assert "a.time.p50" not in found


def test_percentile_beyond_the_last_bucket_is_its_bound() -> None:
    assert percentile([(1.0, 0), (5.0, 1), (math.inf, 10)], 0.99) == 5.0


def test_snapshot_and_prometheus_text_show_the_same_values() -> None:
    metrics = Metrics(ROWS)
    metrics.count("a.count", 3, outcome="x")
    metrics.set("a.depth", 7)
    metrics.observe("a.time", 0.3)

    text = metrics.render().decode()
    values = {value.metric.name: value.value for value in metrics.snapshot()}

    assert 'a_count_total{outcome="x"} 3.0' in text
    assert "a_depth 7.0" in text
    assert "a_time_seconds_sum 0.3" in text
    assert values == {"a.count": 3.0, "a.depth": 7.0, "a.time": 0.3}


def test_names_that_reach_datadog_are_all_different() -> None:
    names = [reading.name for reading in readings_of_every_row()]

    assert len(names) == len(set(names)) > len(TABLE)


@pytest.mark.parametrize("module", ["datadog_api_client", "urllib3"])
def test_start_of_the_service_does_not_import_the_client(module: str) -> None:
    code = "import sys, consumer.runtime.service, consumer.monitoring.datadog.sender; " + (
        f"import jobs.report_datadog; sys.exit({module!r} in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
