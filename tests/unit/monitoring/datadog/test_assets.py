"""Assets for Datadog are importable and speak of metrics that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datadog_api_client.configuration import Configuration
from datadog_api_client.model_utils import validate_and_convert_types
from datadog_api_client.v1.model.dashboard import Dashboard
from datadog_api_client.v1.model.monitor import Monitor
from typer.testing import CliRunner

from consumer.cli.main import build
from consumer.cli.main import run as run_command
from consumer.monitoring.datadog.assets import assets, folder
from tests.support.datadog import readings_of_every_row

DOCUMENTS = {asset.name: json.loads(asset.text) for asset in assets()}
# space aggregation, metric, scope, groups, and whether it is a count
_QUERY = re.compile(
    r"\b(sum|avg|max|min):([A-Za-z][\w.]*)\{([^}]*)\}(?: by \{([^}]*)\})?(\.as_count\(\))?"
)
_SENT = readings_of_every_row()
_KINDS = {reading.name: reading.kind for reading in _SENT}
_TAGS = {reading.name: tuple(reading.tags) for reading in _SENT}
_EVERYWHERE = {"env", "service", "version", "host", "instance"}


def texts(value: Any) -> Iterator[str]:
    """Every query of a dashboard or monitor."""
    if isinstance(value, dict):
        if isinstance(value.get("query"), str):
            yield value["query"]
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


QUERIES = [(name, text) for name, document in DOCUMENTS.items() for text in texts(document)]


def test_a_dashboard_and_monitors_are_shipped() -> None:
    kinds = [asset.kind for asset in assets()]

    assert kinds.count("dashboard") == 1
    assert kinds.count("monitor") >= 5


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_each_query_asks_for_metrics_that_are_reported_as_what_they_are(
    name: str, query: str
) -> None:
    parts = _QUERY.findall(query)

    # One metric, perhaps beside what it was a week before.
    assert len({part[1:4] for part in parts}) == 1, f"{name}: {query}"
    for way, metric, scope, groups, as_count in parts:
        assert metric in _KINDS
        # A count is summed over time and hosts; a gauge of all processes never is, but for ratios.
        assert bool(as_count) == (_KINDS[metric] == "count")
        if as_count:
            assert way == "sum"
        known = {*_TAGS[metric], *_EVERYWHERE}
        keys = {part.strip().lstrip("$").partition(":")[0] for part in scope.split(",")}
        assert keys - known <= {"event_type"} & keys & set(_TAGS[metric])
        assert {group for group in groups.split(",") if group} <= known


def test_operator_sees_what_the_dashboard_is_for() -> None:
    asked = {match[1] for _, query in QUERIES for match in _QUERY.findall(query)}
    prefix = "cxone.dataaction"

    assert {
        f"{prefix}.schema_version.adopted",
        f"{prefix}.schema_version.total",
        f"{prefix}.schema_version.producer_adoption_rate",
        f"{prefix}.deliveries",
        f"{prefix}.rejected",
        f"{prefix}.request.duration.p95",
        f"{prefix}.dead_letters",
        f"{prefix}.backfill.backlog",
        f"{prefix}.job.runs",
        f"{prefix}.spool.depth",
    } <= asked


@pytest.mark.parametrize("name", DOCUMENTS)
def test_datadogs_own_model_knows_every_part(name: str) -> None:
    document = DOCUMENTS[name]
    model = Dashboard if "widgets" in document else Monitor
    settings: Any = Configuration
    convert: Any = validate_and_convert_types

    read = convert(document, (model,), [name], True, True, configuration=settings())

    assert not unparsed(read)


def unparsed(part: Any) -> list[Any]:
    """The parts that the client took without knowing them."""
    if isinstance(part, list):
        return [item for each in part for item in unparsed(each)]
    found = [part] if getattr(part, "_unparsed", False) else []
    for value in (getattr(part, "_data_store", None) or {}).values():
        found += unparsed(value)
    return found


def test_monitors_alert_at_the_threshold_their_query_names() -> None:
    for name, document in DOCUMENTS.items():
        if "query" in document:
            threshold = float(document["query"].split()[-1])
            assert document["options"]["thresholds"]["critical"] == threshold, name


def test_command_says_where_they_are() -> None:
    result = CliRunner().invoke(build(), ["datadog", "assets"])

    assert result.exit_code == 0
    assert str(folder() / "dashboard.json") in result.output


@pytest.mark.parametrize("former", ["metrics", "datadog"])
def test_command_writes_them_out(tmp_path: Path, former: str) -> None:
    out = tmp_path / "new" / "folder"

    result = CliRunner().invoke(build(), [former, "assets", "--out", str(out), "--json"])

    assert result.exit_code == 0
    assert {path.name for path in out.iterdir()} == {*DOCUMENTS, "grafana.json"}
    assert (
        json.loads((out / "dashboard.json").read_text(encoding="utf-8"))
        == (DOCUMENTS["dashboard.json"])
    )
    assert set(json.loads(result.stdout)["assets"]) == {*DOCUMENTS, "grafana.json"}


def test_folder_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    status = run_command(["datadog", "assets", "--out", str(tmp_path / "file")])

    assert status == 1
    assert "name another --out" in capsys.readouterr().err
