"""A service that is asked to end while a job of readers and signals has much to do: it does not
wait for that."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import EPOCH, utc_now
from consumer.mongodb.client import EVENTS, JOB_RUNS, READERS, open_database
from consumer.readers.pins import Pin, Pins
from consumer.signals.signals import Signal
from consumer.signals.statistics import DAY, Day, Seen, day_of
from consumer.signals.store import FieldStatistics, Look, Signals
from tests.faults.process import process
from tests.support.backfill import laid_out, registry
from tests.support.signals import GONE

Db = Database[dict[str, Any]]
_FIELDS, _PINS, _VIEWS, _DAYS = 1900, 400, 100, 120
# The service stops without a job that goes on for five seconds, and says so.
_SECONDS = 8.0


def much_to_do(database: Db) -> None:
    """Fields that vanished while many new ones came, pins that these break, views to be made."""
    ours, schemas, now = (
        open_database(database.client, database.name),
        registry(database),
        utc_now(),
    )
    old = {f"old{number}": "x" for number in range(_FIELDS)}
    laid_out(schemas, "e1", old, "many")
    new = laid_out(schemas, "e2", {f"new{number}": "x" for number in range(90)}, "many")
    database[EVENTS].insert_one({**new, "processed_at": now - timedelta(minutes=20)})
    statistics, every_hour = FieldStatistics(ours), (1 << 24) - 1
    came = {at: Seen(2400, 0, 8, every_hour ^ 1 << at % 24) for at in range(_FIELDS)}
    come = {at: Seen(2400, 0, 8, every_hour) for at in range(_FIELDS, _FIELDS + 90)}
    today = day_of(now)
    for ago in range(_DAYS, 0, -1):
        fields, version = (came, 1) if ago > 30 else (come, 2)
        day = Day(today - ago * DAY, version, [100] * 24, fields)
        statistics.add("many", day, Look(0, EPOCH, EPOCH), EPOCH)
    gone = [
        Signal("vanished", (name,), None, now, 1.0, GONE, subject="many", last_seen=now)
        for name in old
    ]
    Signals(ours).save([(each, True) for each in gone])
    laid_out(schemas, "e3", {f"field{number}": 1 for number in range(150)}, "seen")
    pins = Pins(ours[READERS])
    rows = [("many", number) for number in range(_PINS)]
    rows += [("seen", number) for number in range(_VIEWS)]
    for subject, number in rows:
        pin = Pin(f"r{number}.{subject}", f"r{number}", subject, 1, now, "Ada")
        if subject == "many":
            # Its view is made already, as far as the job can see: judged it is all the same.
            database.create_collection(pin.view)
        pins.put(pin)


@pytest.mark.faults_full
@pytest.mark.parametrize("job", ["field_statistics", "judge_readers", "keep_views"])
def test_a_job_with_much_to_do_does_not_hold_up_a_stop(
    database: Db, mongod_uri: str, tmp_path: Path, job: str
) -> None:
    much_to_do(database)
    running = {"job": job, "outcome": "running"}

    with process(mongod_uri, database.name, tmp_path / "data") as service:
        until = time.monotonic() + 60
        while database[JOB_RUNS].find_one(running) is None:
            assert time.monotonic() < until, "it does not begin"
            time.sleep(0.01)
        began = time.monotonic()
        service.terminate()
        status = service.wait()
        took = time.monotonic() - began

        (run,) = database[JOB_RUNS].find({"job": job})
        said = [line["event"] for line in service.lines()]

    print(f"{job}: {took:.1f} s, {run['outcome']}")
    assert status == 0
    assert run["outcome"] == "stopped"
    assert not any("still running" in line for line in said)
    assert took < _SECONDS
