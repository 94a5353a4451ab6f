"""A process that runs jobs of readers and signals, each time in a child that may be killed:

python -m tests.faults.reader_jobs_worker URI DATABASE

A line NAME KILL HOURS on standard input runs the jobs of that name, with a clock so many hours on,
and kills them with -9 as they send their command number KILL to MongoDB (0: never). The answer is
the status of the child: 0, or -9. Linux only: it forks.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from consumer.core.clock import HOUR
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import READERS_BROKEN
from consumer.events.search import EventSearch
from consumer.mongodb.client import EVENTS, READERS, SCHEMA_VERSIONS, open_database
from consumer.monitoring.datadog.replies import Reply
from consumer.monitoring.datadog.sink import LogSink
from consumer.monitoring.datadog.version_events import VersionEvent
from consumer.privacy.rules import Redaction
from consumer.readers.judge import Judge
from consumer.readers.pins import Pins
from consumer.readers.views import Views
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.signals.store import Signals
from jobs.announce_signals import AnnounceSignals
from jobs.judge_readers import JudgeReaders
from jobs.keep_views import KeepViews
from tests.support.datadog import COMMON
from tests.support.field_statistics import AT, count_fields
from tests.support.jobs import Run

Db = Any


class KillAt(CommandListener):
    """Kill this process as it sends a command."""

    def __init__(self, number: int) -> None:
        self._left = number

    def started(self, _: Any) -> None:
        self._left -= 1
        if sys.platform != "win32" and not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def succeeded(self, _: Any) -> None:
        """Nothing to do."""

    def failed(self, _: Any) -> None:
        """Nothing to do."""


class Told(LogSink):
    """In the place of Datadog: it keeps what it gets, by commands that may be killed too."""

    def __init__(self, database: Db) -> None:
        super().__init__()
        self._told = database["told"]

    def post(self, event: VersionEvent, *_: object) -> Reply:
        self._told.insert_one({"title": event.title})
        return Reply("accepted", 202)


def views(database: Db, _: datetime) -> None:
    ours = open_database(database.client, database.name)
    registry = SchemaRegistry(ours[SCHEMA_VERSIONS])
    KeepViews(Views(ours, Pins(ours[READERS]), registry, Redaction))(Run())


def verdicts(database: Db, _: datetime) -> None:
    ours = open_database(database.client, database.name)
    registry, metrics = SchemaRegistry(ours[SCHEMA_VERSIONS]), Metrics()
    first = EventSearch(ours[EVENTS]).first
    judge = Judge(Pins(ours[READERS]), registry, first, lambda path, _: path, lambda _: [])
    JudgeReaders(judge, registry.subjects, metrics)(Run())
    database["told"].insert_one({"broken": [each.value for each in metrics.values(READERS_BROKEN)]})


def signals(database: Db, now: datetime) -> None:
    ours = open_database(database.client, database.name)
    schemas = SchemaRegistry(ours[SCHEMA_VERSIONS])
    count_fields(database, schemas, lambda: now)(Run(fence=1))
    AnnounceSignals(
        signals=Signals(ours),
        sink=Told(database),
        common=COMMON,
        masks=Redaction(),
        clock=lambda: now,
    )(Run(fence=1))


JOBS: dict[str, Callable[[Db, datetime], None]] = {
    "views": views,
    "verdicts": verdicts,
    "signals": signals,
}


def main(uri: str, name: str) -> None:
    if sys.platform == "win32":
        raise SystemExit("for Linux only")
    for line in sys.stdin:
        jobs, kill, hours = line.split()
        child = os.fork()
        if not child:
            client: Db = MongoClient(
                uri, tz_aware=True, event_listeners=[KillAt(int(kill))], maxPoolSize=1
            )
            JOBS[jobs](client[name], AT + int(hours) * HOUR)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
