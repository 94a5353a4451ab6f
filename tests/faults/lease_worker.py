"""A process with a shifted clock that runs one exclusive job and writes down when, by fence.

Arguments: URI, database, name of this process, shift of its clock and lease time in seconds.
"""

# ruff: noqa: E402
from __future__ import annotations

import datetime
import sys
import time
from typing import Any

_shift = float(sys.argv[4])
_real_time, _real_time_ns = time.time, time.time_ns


class _Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        # Of this class again: APScheduler takes what is no `datetime` to it for a date.
        return super().now(tz) + datetime.timedelta(seconds=_shift)


# Before anything else is imported: the driver, APScheduler and this program go by it.
datetime.datetime = _Shifted  # type: ignore[misc]
time.time = lambda: _real_time() + _shift
time.time_ns = lambda: _real_time_ns() + int(_shift * 1e9)

from pymongo.errors import DuplicateKeyError, PyMongoError

from consumer.core.clock import utc_now
from consumer.mongodb.client import JOB_RUNS, LEASES, connect, open_database
from consumer.mongodb.leases import Leases
from consumer.monitoring.job_runs import JobRuns
from jobs.scheduling.job import Job, JobRun
from jobs.scheduling.runner import Runner
from jobs.scheduling.scheduler import Scheduler

STEPS, PAUSE = 25, 0.02


def work(run: JobRun, database: Any, name: str) -> dict[str, Any]:
    """Note each step, past the fence in `ledger`, and without one in `steps`."""
    entry = {"fence": run.fence, "holder": name, "at": "$$NOW"}
    entries = {"$concatArrays": [{"$ifNull": ["$entries", []]}, [entry]]}
    for step in range(STEPS):
        if run.stopping():
            break
        run.progress(step=step)
        try:
            database["ledger"].update_one(
                # Only what no later holder has written; under an older fence the upsert tries to
                # insert the same `_id` again.
                {"_id": "ledger", "fence": {"$not": {"$gt": run.fence}}},
                [{"$set": {"fence": run.fence, "entries": entries}}],
                upsert=True,
            )
        except DuplicateKeyError:
            database["refused"].insert_one({"fence": run.fence, "holder": name})
            break
        database["steps"].update_one({"_id": f"{run.fence} {step}"}, [{"$set": entry}], upsert=True)
        time.sleep(PAUSE)
    return {"steps": step}


def main() -> None:
    uri, database_name, name, _, lease = sys.argv[1:6]
    client = connect(uri, timeout=5)
    database = open_database(client, database_name)
    runner = Runner(
        name,
        leases=Leases(database[LEASES], name, float(lease)),
        runs=JobRuns(database[JOB_RUNS]),
    )
    job = Job("shared", 0.2, lambda run: work(run, database, name), exclusive=True)
    scheduler = Scheduler([job], runner)
    scheduler.start()
    print("started", utc_now().timestamp() - _real_time(), flush=True)
    # Until the parent lets go, or dies.
    sys.stdin.read()
    scheduler.stop(10)
    client.close()


if __name__ == "__main__":
    try:
        main()
    except PyMongoError as error:
        sys.exit(type(error).__name__)
