"""The jobs inside the running service: what each leaves behind shows that it is wired."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pymongo.database import Database

from consumer.mongodb.client import OurDatabase
from consumer.mongodb.indexes import create_indexes
from tests.support.datadog import KEY, intake
from tests.support.service import dead_letters, eventually, running_service

Db = Database[dict[str, Any]]


def test_reports_reach_datadog_from_the_service_itself(mongod_uri: str, database: Db) -> None:
    with intake() as datadog:
        settings = {"dd_api_key": KEY, "dd_url": datadog.url, "cxone_report_interval": "10s"}
        with running_service(mongod_uri, database.name, **settings) as client:
            assert client.post({"id": "1", "type": "t"}).status == 200
        names = {
            series["metric"]
            for request in datadog.requests
            if request.path == "/api/v2/series"
            for series in request.series
        }

    assert "cxone.dataaction.deliveries" in names
    assert datadog.faults == []


@pytest.mark.slow
def test_sweep_repairs_backfill_fills_and_adoption_tells(mongod_uri: str, database: Db) -> None:
    fast = {
        "cxone_sweep_interval": "1s",
        "cxone_backfill_interval": "1s",
        "cxone_backfill_quiet": "0s",
        "cxone_adoption_interval": "10s",
    }
    with running_service(mongod_uri, database.name, **fast) as client:
        client.post({"id": "1", "type": "t"})
        client.post({"id": "2", "type": "t", "extra": {"deep": 1}})
        assert client.post(b'{"id":"3","type":"t","note":"two\nlines"}').status == 400

        eventually(lambda: database["events"].find_one({"id": "3"}))
        eventually(lambda: "extra" in (database["events"].find_one({"id": "1"}) or {}))
        shown = 'schema_version_total{event_type="t"} 3.0'
        eventually(lambda: shown in client.get("/metrics").body.decode(), timeout=25)

    repaired = database["events"].find_one({"id": "3"})
    assert repaired is not None
    assert repaired["_meta"]["repairs"]
    assert [entry["status"] for entry in dead_letters(database)] == ["resolved"]
    assert database["job_runs"].distinct("job", {"outcome": "failed"}) == []
    filled = database["job_runs"].find_one({"job": "backfill", "result.documents": {"$gt": 0}})
    assert filled is not None
    assert filled["progress"]["subject"] == "t"
    assert filled["progress"].keys() >= {"remaining", "rate", "seconds_left", "estimated_end"}


@pytest.mark.slow
def test_two_processes_worth_of_services_share_the_jobs(mongod_uri: str, database: Db) -> None:
    fast = {"cxone_sweep_interval": "1s", "cxone_lease_time": "3s"}
    with (
        running_service(mongod_uri, database.name, **fast),
        running_service(mongod_uri, database.name, **fast),
    ):
        time.sleep(4)

    runs = list(database["job_runs"].find({"job": "sweep_dead_letters", "outcome": "succeeded"}))
    fences = [run["fence"] for run in runs]
    assert len(fences) >= 3
    assert len(set(fences)) == len(fences)
    assert database["instances"].count_documents({}) == 0


def test_no_job_fails_while_the_indexes_of_a_new_database_are_made(
    mongod_uri: str, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(ours: OurDatabase) -> list[str]:
        time.sleep(2)
        return create_indexes(ours)

    monkeypatch.setattr("consumer.runtime.service.create_indexes", slow)
    fast = {"cxone_backfill_interval": "1s", "cxone_backfill_quiet": "0s"}
    with running_service(mongod_uri, database.name, **fast) as client:
        assert client.post({"id": "1", "type": "t"}).status == 200
        assert client.post({"id": "2", "type": "t", "more": 1}).status == 200
        eventually(lambda: "more" in (database["events"].find_one({"id": "1"}) or {}))

    assert database["job_runs"].distinct("job", {"outcome": "failed"}) == []
