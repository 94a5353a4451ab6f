"""The jobs of readers and signals, killed with -9 at every command that they send to MongoDB, and
run again by the next process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import EPOCH
from consumer.mongodb.client import EVENTS, FIELD_STATISTICS, READERS, SIGNALS, open_database
from consumer.privacy.rules import Redaction
from consumer.readers.pins import Pin, Pins
from consumer.readers.views import Views
from consumer.schemas.manual_changes import alias
from consumer.signals.statistics import Day, Seen
from consumer.signals.store import FieldStatistics, Look
from tests.support.backfill import registry, store
from tests.support.field_statistics import AT, DAY, HOUR, stored_at

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a worker forks, and is killed")

Db = Database[dict[str, Any]]
Run = Callable[[str, int, int], int]


@contextmanager
def worker(uri: str, database: Db) -> Iterator[Run]:
    """Run jobs by name in a process, killed at a command (0: never) and by a clock; its status."""
    command = [sys.executable, "-m", "tests.faults.reader_jobs_worker", uri, database.name]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        lines_in, lines_out = process.stdin, process.stdout

        def run(jobs: str, kill: int, hours: int) -> int:
            print(jobs, kill, hours, file=lines_in, flush=True)
            return int(lines_out.readline())

        try:
            yield run
        finally:
            process.kill()


class Kept:
    """Collections as they are now, to be put back."""

    def __init__(self, database: Db, *names: str) -> None:
        self._database = database
        self._kept = {name: list(database[name].find()) for name in names}

    def put_back(self) -> None:
        for name, documents in self._kept.items():
            self._database[name].delete_many({})
            if documents:
                self._database[name].insert_many(documents)


@pytest.mark.slow
def test_signals_and_statistics_of_a_killed_job_are_counted_once_and_told_once(
    database: Db, mongod_uri: str
) -> None:
    schemas, every_hour = registry(database), (1 << 24) - 1
    statistics = FieldStatistics(open_database(database.client, database.name))
    stored_at(database, schemas, AT, [{"id": 1, "queue": 1, "other": 1}])
    for number in range(40):
        fields = {at: Seen(2400, 0, 1, every_hour) for at in range(3 if number < 30 else 1)}
        day = Day(AT + number * DAY, 1, [100] * 24, fields)
        statistics.add("s", day, Look(1, AT, AT), EPOCH)
    stored_at(database, schemas, AT + 40 * DAY, [{"id": 1}] * 3)
    kept = Kept(database, FIELD_STATISTICS, SIGNALS, EVENTS, "told")
    ended = [0]

    with worker(mongod_uri, database) as run:
        while ended[-1] != 0 or len(ended) == 1:
            kept.put_back()
            ended.append(run("signals", len(ended), 40 * 24 + 2))
            stored_at(database, schemas, AT + 40 * DAY + 3 * HOUR, [{"id": 1}])
            # A look that was cut off is made again first.
            assert run("signals", 0, 40 * 24 + 4) == run("signals", 0, 40 * 24 + 5) == 0

            (day,) = statistics.days("s", AT + 40 * DAY)
            assert (day.events, day.of(0)) == (4, 4)
            assert database[SIGNALS].count_documents({"ended_at": None, "is_told": True}) == 2
            told = [each["title"] for each in database["told"].find()]
            # One may be lost, as a version may: it is marked before it is told.
            assert 1 <= len(told) == len(set(told))

    assert len(ended) > 15


@pytest.mark.slow
def test_views_of_a_killed_job_are_what_pins_and_schemas_say(database: Db, mongod_uri: str) -> None:
    ours, schemas = open_database(database.client, database.name), registry(database)
    store(database, schemas, "old", {"a": 1})
    store(database, schemas, "new", {"a": 2, "b": "x"})
    views = Views(ours, Pins(ours[READERS]), schemas, Redaction)
    pins = {
        reader: Pin(f"{reader}.s", reader, "s", version, AT, "Ada")
        for reader, version in (("right", 1), ("altered", 1), ("aliased", 2), ("ended", 1))
    }
    for pin in pins.values():
        views.pin(pin)
    made = {name: options(database, f"{name}.s") for name in pins}
    schemas.change("s", lambda head, now: alias(head, ("b",), ("c",), now))
    views.pins.put(Pin("missing.s", "missing", "s", 1, AT, "Ada"))
    views.pins.end(pins["ended"], AT)
    kept, ended = Kept(database, READERS), [0]
    wanted = {**made, "missing": made["right"], "ended": None}

    with worker(mongod_uri, database) as run:
        while ended[-1] != 0 or len(ended) == 1:
            kept.put_back()
            database.drop_collection("missing.s")
            for name in ("right", "altered", "aliased"):
                database.command("collMod", f"{name}.s", **made[name])
            database.command("collMod", "altered.s", viewOn=EVENTS, pipeline=[])
            if options(database, "ended.s") is None:
                database.command("create", "ended.s", **made["ended"])
            ended.append(run("views", len(ended), 0))
            # One that was altered is seen the second time, for its pin is looked at first.
            assert run("views", 0, 0) == run("views", 0, 0) == 0

            aliased = options(database, "aliased.s")
            assert "$c" in str(aliased)
            found = {name: options(database, f"{name}.s") for name in wanted}
            assert found == {**wanted, "aliased": aliased}
            assert len(views.pins.all()) == 4

    assert len(ended) > 20


@pytest.mark.slow
def test_readers_are_judged_as_before_by_who_comes_after_a_killed_process(
    database: Db, mongod_uri: str
) -> None:
    ours, schemas = open_database(database.client, database.name), registry(database)
    store(database, schemas, "old", {"a": 1})
    for reader, version in (("broken", 1), ("whole", 2)):
        Pins(ours[READERS]).put(Pin(f"{reader}.s", reader, "s", version, AT, "Ada"))
    store(database, schemas, "new", {"a": "t"})
    killed = 0

    with worker(mongod_uri, database) as run:
        while run("verdicts", killed + 1, 0) != 0:
            killed += 1
            assert run("verdicts", 0, 0) == 0

    assert killed > 2
    found = database["told"].find({}, {"_id": 0})
    assert list(found) == [{"broken": [1, 0]}] * (killed + 1)


def options(database: Db, view: str) -> Any:
    found = list(database.list_collections(filter={"name": view}))
    return found[0]["options"] if found else None
