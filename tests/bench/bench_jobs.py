"""Measure whether webhooks wait for the jobs: `python -m tests.bench.bench_jobs [--turns 5]`.

By turns in one run, 100 events/s through a service whose jobs rest, and through one that looks for
dead letters and for documents to fill every second, counts adoption every five and sends to Datadog
(an intake on this machine) every ten.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.dead_letters.retry import PENDING_RETRY
from consumer.dead_letters.store import DeadLetter
from consumer.demo.samples.scenario import traffic
from consumer.mongodb.client import (
    DEAD_LETTERS,
    JOB_RUNS,
    LEASES,
    SCHEMA_VERSIONS,
    connect,
    open_database,
)
from consumer.mongodb.indexes import create_indexes
from consumer.runtime.shared import build_shared
from consumer.schemas.registry.registry import SchemaRegistry
from tests.bench import bench_backfill, machine, paced
from tests.bench.client import Load
from tests.bench.requests import requests
from tests.support.datadog import KEY, intake
from tests.support.spool import load as settings_of

Db = Database[dict[str, Any]]

_DATABASE = "bench_jobs"
_EVENTS_PER_SECOND = 100
# How often each begins where jobs work, and where they rest: as far as the settings allow.
_INTERVALS = {
    "CXONE_SWEEP_INTERVAL": ("1s", "1h"),
    "CXONE_BACKFILL_INTERVAL": ("1s", "1h"),
    "CXONE_ADOPTION_INTERVAL": ("5s", "1h"),
    "CXONE_REPORT_INTERVAL": ("10s", "10m"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_jobs", description=__doc__)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--letters", type=int, default=5_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args(arguments)
    each = int(options.seconds * _EVENTS_PER_SECOND)
    prepared = requests((each + 1) * options.turns * 2, 1000)
    found: dict[str, list[Load]] = {"rest": [], "work": []}
    machine.leave_the_first_core()
    with (
        machine.mongod(None) as uri,
        intake() as datadog,
        closing(connect(uri, timeout=600)) as client,
    ):
        database = open_database(client, _DATABASE)
        create_indexes(database)
        schemas = SchemaRegistry(database[SCHEMA_VERSIONS])
        loaded = bench_backfill.load(database, schemas, options.documents, "uniform")
        keep_letters(uri, options.letters)
        for turn in range(options.turns * 2):
            name, works = ("work", True) if turn % 2 else ("rest", False)
            first, *rest = prepared[turn * (each + 1) : (turn + 1) * (each + 1)]
            if works:
                loaded.set_back()
                make_due(database)
            # No process runs: what the last one found due later is due at once.
            database[LEASES].delete_many({})
            began = datetime.now(timezone.utc)
            settings = jobs(works, datadog.url)
            service = paced.service(uri, _DATABASE, settings, first, on_the_first_core=True)
            with service as port:
                load = paced.load(port, rest, options.seconds, _EVENTS_PER_SECOND)
            found[name].append(load)
            print(
                f"{name}: p99 {load.p99 * 1000:5.1f} ms; {runs_since(database, began)}", flush=True
            )
    report(found)


def jobs(work: bool, intake_url: str) -> Mapping[str, str]:
    return {
        **{name: often if work else seldom for name, (often, seldom) in _INTERVALS.items()},
        "CXONE_BACKFILL_QUIET": "0s",
        "DD_API_KEY": KEY,
        "DD_URL": intake_url,
    }


def keep_letters(uri: str, count: int) -> None:
    """Deliveries that nothing is wrong with, as a fault of ours would have left them."""
    with (
        tempfile.TemporaryDirectory(prefix="cxone-bench-") as directory,
        closing(build_shared(settings_of(uri, _DATABASE, Path(directory)), uri)) as shared,
    ):
        for body in traffic(7, count, utc_now):
            now = utc_now()
            shared.dead_letters.add(
                DeadLetter(
                    delivery=Delivery("", body, Headers({}), now, Verdict("current", now)),
                    digest=hashlib.sha256(body).hexdigest(),
                    reason="store_error",
                    error_message="a letter of the benchmark",
                )
            )


def make_due(database: Db) -> None:
    """All letters wait for the sweep again."""
    database[DEAD_LETTERS].update_many(
        {"error_message": "a letter of the benchmark"},
        {
            "$set": {"status": PENDING_RETRY, "next_retry_at": utc_now(), "retry_count": 0},
            "$unset": {"expires_at": ""},
        },
    )


def runs_since(database: Db, began: datetime) -> str:
    """Runs of each job."""
    runs = Counter(run["job"] for run in database[JOB_RUNS].find({"started_at": {"$gte": began}}))
    return ", ".join(f"{job} {runs[job]}" for job in sorted(runs)) or "no runs"


def report(found: Mapping[str, Sequence[Load]]) -> None:
    print(f"\n{_EVENTS_PER_SECOND} events/s, medians{'p50 ms':>10}{'p99 ms':>9}{'longest':>9}")
    for name, loads in found.items():
        p50, p99, worst = (
            1000 * median(getattr(load, figure) for load in loads)
            for figure in ("p50", "p99", "worst")
        )
        print(f"{'jobs at ' + name:25}{p50:10.1f}{p99:9.1f}{worst:9.1f}")
    rest, work = (median(load.p99 for load in found[name]) for name in ("rest", "work"))
    print(f"p99 beside the jobs: {work / rest:.2f} of that without")


if __name__ == "__main__":
    main()
