"""`status` on a real MongoDB, filled by the parts that fill it in production."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli.main import run
from consumer.human import duration
from consumer.overview import job_states
from consumer.storage import mongo
from consumer.storage.instances import Instance, Instances
from consumer.storage.job_runs import JobRuns, RunRecord
from consumer.storage.leases import Leases
from jobs.heartbeat import Heartbeat
from jobs.job import Job
from jobs.run import JobRun
from jobs.runner import Runner
from tests.service import SECRET, running_service

Db = Database[dict[str, Any]]
NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HERE = Instance("here-7-abc", "here", 7, "1.2.3")


@pytest.fixture
def status(
    mongod_uri: str,
    database: Db,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str]]:
    """The command's exit status and output on the test's database."""
    monkeypatch.setenv("MONGODB_URI", mongod_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database.name)
    monkeypatch.setenv("CXONE_SHARED_SECRET", SECRET)

    def call(*options: str) -> tuple[int, str]:
        code = run(["status", *options])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return call


def runner(database: Db) -> Runner:
    return Runner(
        HERE.id,
        leases=Leases(database[mongo.LEASES], HERE.id, 30),
        runs=JobRuns(database[mongo.JOB_RUNS]),
    )


def test_an_empty_database_says_so(status: Callable[..., tuple[int, str]]) -> None:
    code, text = status()

    assert code == 0
    for line in ("No process", "No job has run", "No dead letters", "No schema", "last success -"):
        assert line in text


def test_processes_jobs_and_what_is_stored_are_shown(
    status: Callable[..., tuple[int, str]], mongod_uri: str, database: Db
) -> None:
    with running_service(mongod_uri, database.name) as client:
        assert client.post({"id": "1", "type": "contact.created"}).status == 200
        assert client.post(b'{"id": ').status == 400
    Heartbeat(Instances(database[mongo.INSTANCES]), HERE, lambda: {"spool": {"depth": 4}})()
    sent = datetime(2026, 3, 1, 11, 59, tzinfo=timezone.utc)
    told = {"last_success": sent, "state": "reporting"}
    ours = runner(database)
    job = Job("adoption", 60, lambda job_run: {"subjects": 3}, exclusive=True)
    # As if the service had not run it just now.
    database[mongo.LEASES].update_one({"_id": "adoption"}, {"$unset": {"due_at": 1}})
    ours.run(job)
    ours.run(Job("report_datadog", 60, lambda job_run: told))

    code, text = status()

    assert code == 0
    for word in (
        *("here-7-abc", "running", "1.2.3", "4 waiting"),
        *("adoption", "succeeded", "subjects 3"),
        *("malformed_json", "pending_inspection", "contact.created", "about 1 event"),
        "last success 2026-03-01 11:59:00Z",
    ):
        assert word in text


def test_json_holds_the_same_for_programs(
    status: Callable[..., tuple[int, str]], database: Db
) -> None:
    Heartbeat(Instances(database[mongo.INSTANCES]), HERE)()
    seen: list[dict[str, Any]] = []

    def work(job_run: JobRun) -> dict[str, Any]:
        job_run.progress(done=5)
        return {}

    ours = runner(database)
    ours.run(Job("adoption", 60, work, exclusive=True))
    code, text = status("--json")
    seen.append(json.loads(text))

    assert code == 0
    (found,) = seen
    assert found["instances"][0]["state"] == "running"
    (job,) = found["jobs"]
    assert (job["job"], job["outcome"], job["progress"]) == ("adoption", "succeeded", {"done": 5})
    due = datetime.fromisoformat(job["next_due"].replace("Z", "+00:00"))
    started = datetime.fromisoformat(job["started"].replace("Z", "+00:00"))
    assert abs(due - started - timedelta(seconds=60)) < timedelta(seconds=2)
    assert found["datadog"] == {"last_success": None, "states": []}


def test_mongodb_away_ends_with_status_3(
    status: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://user:hush@127.0.0.1:9")
    monkeypatch.setenv("CXONE_STORE_TIMEOUT", "0.2")

    code, text = status()

    assert code == 3
    assert "MONGODB_URI" in text and "hush" not in text


def test_a_running_job_shows_how_far_it_is(database: Db) -> None:
    shown: list[Any] = []

    def work(job_run: JobRun) -> dict[str, Any]:
        leases = Leases(database[mongo.LEASES], "", 1).all()
        runs = JobRuns(database[mongo.JOB_RUNS]).last()
        later = datetime.now(timezone.utc) + timedelta(minutes=2)
        shown.extend(job_states(runs, leases, set(), later))
        return {}

    runner(database).run(Job("backfill", 60, work, exclusive=True))

    (job,) = shown
    assert (job.outcome, job.holder) == ("running", HERE.id)
    assert job.seconds > 100


def test_a_run_without_its_lease_is_unfinished(database: Db) -> None:
    runs = JobRuns(database[mongo.JOB_RUNS])
    runs.save(RunRecord("r", "backfill", "killed", 3, 60, 0, "running"))

    (job,) = job_states(runs.last(), [{"name": "backfill", "fence": 3, "holder": None}], set(), NOW)

    assert (job.outcome, job.next_due) == ("unfinished", None)


def test_runs_of_processes_that_are_gone_are_left_out(database: Db) -> None:
    runs = JobRuns(database[mongo.JOB_RUNS])
    for instance in ("here", "gone"):
        runs.save(RunRecord(instance, "refresh_schemas", instance, 0, 10, 0, "succeeded"))

    states = job_states(runs.last(), [], {"here"}, NOW)

    assert [state.instance for state in states] == ["here"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.26, "0.3 s"), (42, "42 s"), (300, "5 min"), (10_800, "3 h"), (1_000_000, "12 d")],
)
def test_durations_are_shown_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
