"""Values of deliveries tell their source only where the settings have several."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import DELIVERIES, DURATION, SPOOLED, TABLE, UNKNOWN_PATHS
from consumer.monitoring.datadog.points import Common, MetricDeltas, freeze


def counted(metrics: Metrics) -> bytes:
    metrics.observe(DURATION, 0.002, source="main", outcome="processed")
    metrics.observe(DURATION, 0.002, source="voice", outcome="processed")
    metrics.count(SPOOLED, source="voice")
    metrics.count(UNKNOWN_PATHS)
    return metrics.render()


def test_without_sources_the_exposition_and_the_series_are_those_of_a_table_without_them() -> None:
    metrics = Metrics()
    plain = Metrics([replace(row, of_delivery=False) for row in TABLE])

    shown = [counted(each) for each in (metrics, plain)]

    assert b"source=" not in shown[0]
    assert lines(shown[0]) == lines(shown[1])
    readings = [MetricDeltas().readings(each.snapshot(), frozenset()) for each in (metrics, plain)]
    assert readings[0] == readings[1]


def lines(exposition: bytes) -> list[bytes]:
    """All but the times at which the counters were made."""
    return [line for line in exposition.splitlines() if b"_created" not in line]


def test_the_source_is_told_of_what_belongs_to_a_delivery_and_of_no_more() -> None:
    shown = counted(Metrics(sources=["voice"])).decode()

    assert 'deliveries_total{outcome="processed",source="main"} 1.0' in shown
    assert 'deliveries_total{outcome="processed",source="voice"} 1.0' in shown
    assert 'request_duration_seconds_count{outcome="processed",source="voice"} 1.0' in shown
    assert 'spool_spooled_total{source="voice"} 1.0' in shown
    assert 'spool_spooled_total{source="main"} 0.0' in shown
    assert "unknown_paths_total 1.0" in shown


def test_datadog_has_a_series_of_each_source_under_a_tag_that_is_not_reserved() -> None:
    metrics = Metrics(sources=["voice"])
    counted(metrics)
    readings = MetricDeltas().readings(metrics.snapshot(), frozenset())

    points, dropped = freeze(readings, Common((), "host", 10), 0)

    of_deliveries = [point.series.tags for point in points if point.series.name == DELIVERIES]
    assert of_deliveries == [
        ("cxone_source:main", "outcome:processed"),
        ("cxone_source:voice", "outcome:processed"),
    ]
    assert dropped.total() == 0


def test_what_a_histogram_observes_is_its_counter_too() -> None:
    metrics = Metrics()
    for outcome in ("processed", "processed", "refused"):
        metrics.observe(DURATION, 0.002, outcome=outcome)

    found = {value.tags["outcome"]: value.value for value in metrics.values(DELIVERIES)}

    assert found == {"processed": 2, "refused": 1}
    of_deliveries, of_durations = (
        re.findall(rf'{name}_created{{outcome="(\w+)"}} (\S+)', metrics.render().decode())
        for name in ("cxone_dataaction_deliveries", "cxone_dataaction_request_duration_seconds")
    )
    assert of_deliveries == of_durations
    assert len(of_deliveries) == 2


@pytest.mark.parametrize("gone", ["gone_1", "gone_2"])
def test_sources_that_are_not_in_the_settings_share_one_value(gone: str) -> None:
    metrics = Metrics(sources=["voice"])
    metrics.count(SPOOLED, 2, source=gone)

    assert 'spool_spooled_total{source="removed"} 2.0' in metrics.render().decode()
    assert gone not in metrics.render().decode()
