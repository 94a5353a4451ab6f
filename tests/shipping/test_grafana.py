"""Programs of others read Grafana's dashboard: its own model of it, and a parser of PromQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from pymongo.database import Database

from consumer.monitoring.grafana import dashboard
from tests.support.service import running_service

# What Grafana puts in place of its variables.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}


def selectors(part: Any) -> Iterator[Any]:
    """Every selector of series in a query."""
    if isinstance(part, promql_parser.VectorSelector):
        yield part
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if (below := getattr(part, name, None)) is not None:
            yield from selectors(below)
    for argument in getattr(part, "args", None) or ():
        yield from selectors(argument)


def queries() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield text


def test_grafanas_own_model_knows_every_part() -> None:
    built = dashboard()
    # The parts that are those of panels and of queries to Prometheus.
    register_default_plugins()

    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(built)))

    assert_within(built, read, "dashboard")


def assert_within(given: Any, read: Any, place: str) -> None:
    """Fail for what was lost on the way; what the model adds are its defaults."""
    if isinstance(given, dict):
        for key, value in given.items():
            assert key in read, f"{place}.{key}"
            assert_within(value, read[key], f"{place}.{key}")
    elif isinstance(given, list):
        assert len(given) == len(read), place
        for number, (one, other) in enumerate(zip(given, read, strict=True)):
            assert_within(one, other, f"{place}[{number}]")
    else:
        assert given == read, place


def test_every_query_is_promql_over_what_a_running_service_shows(
    mongod_uri: str, database: Database[Any]
) -> None:
    with running_service(mongod_uri, database.name) as client:
        client.post({"id": "1", "type": "t"})
        shown = client.get("/metrics").body.decode()

    asked = [each.name for query in queries() for each in selectors(promql_parser.parse(query))]
    assert len(asked) == len(dashboard()["panels"])
    for name in asked:
        assert f"\n# TYPE {name.removesuffix('_bucket')} " in f"\n{shown}", name


@pytest.mark.parametrize("query", ["sum by (a (x)", 'x{a=~"$instance"'])
def test_the_parser_refuses_what_is_no_promql(query: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        promql_parser.parse(query)
