"""Draw a dashboard for Grafana: a panel for each metric of the table, as `/metrics` shows it."""

from __future__ import annotations

from typing import Any

from consumer.core.metrics_table import DATADOG_LAST_SUCCESS, TABLE, Metric

_PREFIX = "cxone.dataaction."
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_UNITS = {"second": "s", "percent": "percent", "byte": "bytes"}
_ACROSS, _WIDTH, _HEIGHT = 3, 8, 8


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it; a variable of it chooses the Prometheus."""
    return {
        "uid": "cxone-consumer",
        "title": "cxone-consumer",
        "description": "Deliveries, schema versions and their adoption, dead letters, spool, jobs.",
        "tags": ["cxone-consumer"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": [_CHOICE_OF_PROMETHEUS, _CHOICE_OF_INSTANCES]},
        "panels": [_panel(number, row) for number, row in enumerate(TABLE)],
    }


_CHOICE_OF_PROMETHEUS = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
}
_CHOICE_OF_INSTANCES = {
    "name": "instance",
    "label": "Instance",
    "type": "query",
    "datasource": _SOURCE,
    "query": "label_values(cxone_dataaction_build, instance)",
    "includeAll": True,
    "multi": True,
    "allValue": ".*",
    "current": {"text": "All", "value": "$__all"},
    # When the span of time changes.
    "refresh": 2,
}


def _panel(number: int, row: Metric) -> dict[str, Any]:
    place = {"x": number % _ACROSS * _WIDTH, "y": number // _ACROSS * _HEIGHT}
    # A process of its own each, unless it is measured of all of them.
    tags = row.tags if row.fleet or row.kind != "gauge" else ("instance", *row.tags)
    unit = _UNITS.get(row.unit, "short") if row.kind != "counter" else "short"
    if row.name == DATADOG_LAST_SUCCESS:
        unit = "dateTimeFromNow"
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": row.name.removeprefix(_PREFIX),
        "description": row.help,
        "datasource": _SOURCE,
        "gridPos": {**place, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": "A",
                "datasource": _SOURCE,
                "expr": _query(row, tags),
                "legendFormat": " ".join(f"{{{{{tag}}}}}" for tag in tags) or "all",
            }
        ],
    }


def _query(row: Metric, tags: tuple[str, ...]) -> str:
    """The PromQL: how many in each step, the 95th percentile, or the value."""
    name, of = row.name.replace(".", "_"), '{instance=~"$instance"}'
    by = f" by ({', '.join(tags)})" if tags else ""
    if row.kind == "counter":
        return f"sum{by} (increase({name}_total{of}[$__rate_interval]))"
    if row.kind == "histogram":
        labels = ", ".join(("le", *tags))
        rates = f"sum by ({labels}) (rate({name}_seconds_bucket{of}[$__rate_interval]))"
        return f"histogram_quantile(0.95, {rates})"
    # Grafana counts time in milliseconds.
    factor = " * 1000" if row.name == DATADOG_LAST_SUCCESS else ""
    return f"max{by} ({name}{of}){factor}"
