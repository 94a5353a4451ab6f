"""`status` on a real MongoDB, filled by the parts that fill it in production."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli.main import run
from consumer.cli.status_view import Section, screen, sections
from consumer.core.text import duration
from consumer.ingest.signature import SignatureScheme, sign
from consumer.mongodb.client import INSTANCES, JOB_RUNS, LEASES
from consumer.mongodb.leases import Leases
from consumer.monitoring.instances import Instance, Instances
from consumer.monitoring.job_runs import JobRuns, RunRecord
from consumer.monitoring.overview import (
    Datadog,
    DeadLetterCount,
    JobState,
    Overview,
    Process,
    Store,
    job_states,
)
from jobs.heartbeat import Heartbeat
from jobs.scheduling.job import Job, JobRun
from jobs.scheduling.runner import Runner
from tests.support.processes import serving
from tests.support.service import SECRET, running_service

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
        leases=Leases(database[LEASES], HERE.id, 30),
        runs=JobRuns(database[JOB_RUNS]),
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
    Heartbeat(Instances(database[INSTANCES]), HERE, lambda: {"spool": {"depth": 4}})()
    sent = datetime(2026, 3, 1, 11, 59, tzinfo=timezone.utc)
    told = {"last_success": sent, "state": "reporting"}
    ours = runner(database)
    job = Job("adoption", 60, lambda job_run: {"subjects": 3}, exclusive=True)
    # As if the service had not run it just now.
    database[LEASES].update_one({"_id": "adoption"}, {"$unset": {"due_at": 1}})
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
    Heartbeat(Instances(database[INSTANCES]), HERE)()
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
    assert "is used by nobody" in " ".join(text.split())
    assert "Spool: 0 waiting" in text


@pytest.mark.slow
def test_mongodb_away_leaves_what_this_machine_knows(
    status: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {"MONGODB_URI": "mongodb://127.0.0.1:9", "CXONE_DATA_DIR": str(tmp_path / "data")}
    with serving(tmp_path, {**given, "CXONE_SHARED_SECRET": SECRET}) as running:
        body = b'{"id": "1", "type": "t"}'
        headers = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
        assert running.post(body, headers)[0] == 202
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CXONE_LISTEN", running.url.split("/")[2])
        monkeypatch.setenv("CXONE_STORE_TIMEOUT", "0.2")
        code, text = status()
        again, plain = status("--json")
        pid = running.process.pid

    told = json.loads(plain[: plain.rindex("}") + 1])
    assert (code, again) == (3, 3)
    said = " ".join(text.split())
    for words in (
        f"used by process {pid}",
        "/readyz that it is ready",
        "mongodb: not ok",
        "Spool: 1 waiting since",
    ):
        assert words in said
    assert (told["mongodb"], told["here"]["spool"]["depth"]) == (None, 1)
    assert told["here"]["ready"]["mongodb"]["ok"] is False


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 40)])
def test_whatever_there_is_fits_the_screen(width: int, height: int) -> None:
    long = "word " * 200
    facts = {"figures": [{"subject": "t", "total": 3}], "ended": {"resolved": 2}, "tried": 0}
    outcomes = ("succeeded", "failed", "running", "succeeded")
    overview = Overview(
        at=NOW,
        store=Store("replica set cxone, 3 member(s)", "8.0.4", "d" * 60, 10**9, (long, "b", "c")),
        instances=tuple(
            Process(f"host-{n}", "h", n, "1.2.3", NOW, 100.0 * n, {"depth": n, "fault": long})
            for n in range(9)
        ),
        jobs=tuple(
            JobState(
                *(f"job_{n}", "host-1", True, outcomes[n % 4], NOW, 3.0, None, None, {}, facts),
                long if n % 4 == 1 else None,
            )
            for n in range(14)
        ),
        dead_letters=tuple(DeadLetterCount(f"reason_{n}", "parked", n, 9e5) for n in range(20)),
        datadog=Datadog(NOW, (long,)),
        subjects={f"type_{n}": n for n in range(1000)},
    )

    lines = screen([*sections(overview)], width, height)

    text = "\n".join(lines)
    print(text)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    # What is amiss comes first, and nothing is written as a program would.
    assert text.index("failed") < text.index("Dead letters")
    assert "succeeded" not in text.partition("failed")[0]
    assert "figures 1, resolved 2" in text or height == 24
    assert not set("{}[]") & set(text)
    assert "and 99" in text


def test_what_fits_is_shown_whole() -> None:
    parts = [Section("Jobs: 2", ["a", "b"]), Section("Schemas: 3", ["x", "y", "z"])]

    assert screen(parts, 80, 7) == ["Jobs: 2", "  a", "  b", "Schemas: 3", "  x", "  y", "  z"]
    assert screen(parts, 80, 6)[-2:] == ["  x", "  … and 2 more"]
    assert screen(parts, 80, 2) == ["Jobs: 2", "Schemas: 3"]


def test_a_running_job_shows_how_far_it_is(database: Db) -> None:
    shown: list[Any] = []

    def work(job_run: JobRun) -> dict[str, Any]:
        leases = Leases(database[LEASES], "", 1).all()
        runs = JobRuns(database[JOB_RUNS]).last()
        later = datetime.now(timezone.utc) + timedelta(minutes=2)
        shown.extend(job_states(runs, leases, set(), later))
        return {}

    runner(database).run(Job("backfill", 60, work, exclusive=True))

    (job,) = shown
    assert (job.outcome, job.holder) == ("running", HERE.id)
    assert job.seconds > 100


def test_a_run_without_its_lease_is_unfinished(database: Db) -> None:
    runs = JobRuns(database[JOB_RUNS])
    runs.save(RunRecord("r", "backfill", "killed", 3, 60, 0, "running"))

    (job,) = job_states(runs.last(), [{"name": "backfill", "fence": 3, "holder": None}], set(), NOW)

    assert (job.outcome, job.next_due) == ("unfinished", None)


def test_runs_of_processes_that_are_gone_are_left_out(database: Db) -> None:
    runs = JobRuns(database[JOB_RUNS])
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
