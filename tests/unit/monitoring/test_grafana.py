"""Grafana's dashboard shows every metric, by the names that /metrics has."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import TABLE
from consumer.monitoring.grafana import dashboard

PANELS: list[dict[str, Any]] = dashboard()["panels"]


def asked(panel: dict[str, Any]) -> str:
    [name] = re.findall(r"cxone_\w+", panel["targets"][0]["expr"])
    return str(name)


def test_each_metric_has_a_panel_that_asks_for_it_as_it_is_exposed() -> None:
    exposed = set(re.findall(r"^# TYPE (\w+)", Metrics().render().decode(), re.MULTILINE))

    assert [panel["title"] for panel in PANELS] == [
        row.name.removeprefix("cxone.dataaction.") for row in TABLE
    ]
    for row, panel in zip(TABLE, PANELS, strict=True):
        # A histogram is one family, of several series.
        family = asked(panel).removesuffix("_bucket" if row.kind == "histogram" else "")
        assert family in exposed
        assert panel["description"] == row.help
        for tag in row.tags:
            assert tag in panel["targets"][0]["expr"]
            assert f"{{{{{tag}}}}}" in panel["targets"][0]["legendFormat"]


def test_only_what_grows_is_seen_as_its_growth() -> None:
    for row, panel in zip(TABLE, PANELS, strict=True):
        expression = panel["targets"][0]["expr"]
        assert ("increase(" in expression) == (row.kind == "counter")
        assert expression.startswith("max") == (row.kind == "gauge")


def test_every_query_goes_to_the_prometheus_that_is_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    by_name = {each["name"]: each for each in dashboard()["templating"]["list"]}

    assert by_name["datasource"]["query"] == "prometheus"
    assert by_name["instance"]["datasource"] == chosen
    for panel in PANELS:
        assert [panel["datasource"], panel["targets"][0]["datasource"]] == [chosen, chosen]


def test_no_two_panels_lie_on_each_other() -> None:
    places = [panel["gridPos"] for panel in PANELS]

    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = (one[axis] + one[size] <= other[axis] for axis, size in (("x", "w"), ("y", "h")))
        behind = (other[axis] + other[size] <= one[axis] for axis, size in (("x", "w"), ("y", "h")))
        assert any(apart) or any(behind)
