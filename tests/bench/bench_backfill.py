"""Measure a backfill beside a raw `update_many` on the same documents, and ingest beside it.

By hand: `python -m tests.bench.bench_backfill`, ten minutes on a quiet machine. The documents lack
three new fields, at three depths. Beside 100 events a second it prints the speed with the throttle
off as a ratio to an `update_many` that sets three fields, both by turns, and the processor's time
that MongoDB took for each; then how long the service takes to answer these events alone, and while
its own throttled backfill runs, and how long that took; and, by the speeds seen, how long 10
million and 1 billion documents would take.
"""

from __future__ import annotations

import argparse
import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice
from statistics import median
from typing import Any

from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.events.documents import encode
from consumer.mongodb.client import (
    DEAD_LETTERS,
    EVENTS,
    JOB_RUNS,
    SCHEMA_VERSIONS,
    connect,
    open_database,
)
from consumer.mongodb.indexes import create_indexes
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.backfill.failures import MigrationFailures
from jobs.backfill.job import Backfill, BackfillRules
from jobs.backfill.pace import PaceRules
from jobs.backfill.run import BackfillParts
from jobs.backfill.store import BackfillStore
from tests.bench import machine, paced
from tests.bench.client import Load
from tests.bench.payload_sets import SETS, Payload
from tests.bench.requests import signed
from tests.bench.subject import cpu_seconds
from tests.support.backfill import LONG_AGO, laid_out
from tests.support.jobs import Run

Db = Database[dict[str, Any]]

_EVENTS_PER_SECOND = 100
# So many documents differ; the others are these again.
_TEMPLATES = 1000
_NEW, _RAW = "new_field", ("raw_one", "raw_two", "raw_three")
_SLICE = 5.0  # seconds of ingest that are made ready at a time


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--set", choices=SETS, default="digital", dest="kind")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5, help="of the speed; 0 leaves it out")
    parser.add_argument("--turns", type=int, default=2, help="of the ingest; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=60, help="of each turn of the ingest")
    options = parser.parse_args(arguments)
    with machine.mongod(options.uri) as uri:
        client = connect(uri, timeout=600)
        database = open_database(client, "bench_backfill")
        create_indexes(database)
        schemas = SchemaRegistry(database[SCHEMA_VERSIONS])
        loaded = load(database, schemas, options.documents, options.kind)
        size = database.command("collstats", EVENTS)["avgObjSize"]
        print(f"{options.documents:,} documents of {size:,} bytes", flush=True)
        if options.rounds:
            compare(uri, loaded, schemas, options.rounds)
        if options.turns:
            beside_ingest(uri, loaded, options.seconds, options.turns)
        client.drop_database(database.name)
        client.close()


@dataclass(frozen=True, slots=True)
class Loaded:
    """Documents of the subject `s`, the version that they lack, and the paths that it added."""

    database: Db
    kind: str
    head: int
    paths: Sequence[str]

    def at(self, version: int) -> dict[str, Any]:
        """The query for those that are filled to this version."""
        return {"_meta.subject": "s", "_meta.backfilled_to": version, "_id": {"$ne": "new"}}

    def set_back(self) -> None:
        """Make all documents as they were."""
        self.database[EVENTS].update_many(
            self.at(self.head),
            {
                "$unset": dict.fromkeys((*self.paths, *_RAW), ""),
                "$set": {"_meta.backfilled_to": self.head - 1},
            },
            hint={"$natural": 1},
        )

    def stamp(self) -> None:
        """Let all documents pass for filled."""
        self.database[EVENTS].update_many(
            self.at(self.head - 1),
            {"$set": {"_meta.backfilled_to": self.head}},
            hint={"$natural": 1},
        )


def load(database: Db, schemas: SchemaRegistry, documents: int, kind: str) -> Loaded:
    """So many documents that lack nothing, then the event that adds three fields."""
    events = database[EVENTS]
    samples = [*SETS[kind](_TEMPLATES, 1)]
    for sample in samples:
        laid_out(schemas, "first", sample)
    templates = [laid_out(schemas, "first", sample) for sample in samples]
    numbers = iter(range(documents))
    while some := [*islice(numbers, 1_000)]:
        events.insert_many([{**templates[n % _TEMPLATES], **_stamps(n)} for n in some])
    grown = copy.deepcopy(samples[0])
    paths = []
    for path, place in _objects(grown):
        place[_NEW] = "new"
        paths.append(".".join((*path, _NEW)))
    new = laid_out(schemas, "new", grown)
    events.insert_one(encode(new))
    return Loaded(database, kind, new["_meta"]["backfilled_to"], paths)


def _objects(payload: Payload) -> Iterator[tuple[list[str], Payload]]:
    """The payload, the last object in it, and the last in that, with their paths."""
    path: list[str] = []
    while len(path) < 3:
        yield [*path], payload
        inner = [key for key, value in payload.items() if isinstance(value, dict)]
        if not inner:
            return
        path.append(inner[-1])
        payload = payload[inner[-1]]


def _stamps(number: int) -> dict[str, Any]:
    # The key of an event is a digest: in no order. A hundred and forty came in a second.
    scattered = number * 0x9E3779B97F4A7C15 % 2**64
    return {
        "_id": f"{scattered:064x}",
        "processed_at": LONG_AGO + timedelta(milliseconds=7 * number),
    }


def raw_update(loaded: Loaded) -> float:
    """Documents a second of one update that sets three fields on all."""
    start = time.perf_counter()
    done = loaded.database[EVENTS].update_many({}, {"$set": dict.fromkeys(_RAW)})
    return done.modified_count / (time.perf_counter() - start)


def backfill(loaded: Loaded, schemas: SchemaRegistry) -> float:
    """Documents a second of a backfill as fast as it can."""
    parts = BackfillParts(
        BackfillStore(loaded.database[EVENTS]),
        MigrationFailures(loaded.database[DEAD_LETTERS]),
        utc_now,
    )
    rules = BackfillRules(0, PaceRules(throttle=False))
    job = Backfill(schemas, parts, Metrics(), rules)
    result = job.fill(job.behind("s"), Run())
    assert (result["failed"], result["remaining"]) == (0, 0)
    return float(result["documents"] / result["seconds"])


def compare(uri: str, loaded: Loaded, schemas: SchemaRegistry, rounds: int) -> None:
    """By turns, for other work on the machine comes and goes."""
    raws, rates, costs = [], [], Costs(loaded.database)
    with ingesting(uri, loaded) as loads:
        for number in range(rounds):
            if number % 2:
                raws.append(costs.of("raw", lambda: raw_update(loaded)))
            rates.append(costs.of("backfill", lambda: backfill(loaded, schemas)))
            if not number % 2:
                raws.append(costs.of("raw", lambda: raw_update(loaded)))
            print(f"  raw {raws[-1]:,.0f}, backfill {rates[-1]:,.0f} documents/s", flush=True)
            loaded.set_back()
    print(f"raw update_many:        {_figures(raws)}")
    print(f"backfill, throttle off: {_figures(rates)}, {_times(median(rates))}")
    ratios = [rate / raw for rate, raw in zip(rates, raws, strict=True)]
    print(f"ratio: {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    costs.show(loaded)
    answers = sum((load.answered for load in loads), 0)
    print(
        f"beside {answers / sum(load.seconds for load in loads):.0f} events/s: p50"
        f" {median(load.p50 for load in loads) * 1000:.1f}, p99"
        f" {median(load.p99 for load in loads) * 1000:.1f} ms in the median of {len(loads)} times"
        f" {_SLICE:g} s",
        flush=True,
    )


class Costs:
    """The processor's time of mongod for what is done, that of the ingest beside it included."""

    def __init__(self, database: Db) -> None:
        self._pid = database.client.admin.command("serverStatus")["pid"]
        self._taken: dict[str, list[float]] = {}

    def of(self, name: str, act: Callable[[], float]) -> float:
        began = cpu_seconds(self._pid)
        rate = act()
        self._taken.setdefault(name, []).append(cpu_seconds(self._pid) - began)
        return rate

    def show(self, loaded: Loaded) -> None:
        documents = loaded.database[EVENTS].count_documents(loaded.at(loaded.head - 1))
        for name, taken in self._taken.items():
            print(f"mongod, {name}: {1e6 * median(taken) / documents:.0f} us of CPU a document")


def _figures(rates: Sequence[float]) -> str:
    shown = f"{median(rates):9,.0f} documents/s in the median"
    return f"{shown} of {len(rates)} ({min(rates):,.0f}-{max(rates):,.0f})"


def _times(rate: float) -> str:
    hours = 1e7 / rate / 3600
    return f"so 10 million in {hours:,.1f} hours, 1 billion in {100 * hours / 24:,.1f} days"


@contextmanager
def ingesting(uri: str, loaded: Loaded) -> Iterator[list[Load]]:
    """Events through the service meanwhile, whose own backfill waits; what came of them."""
    each = int(_SLICE * _EVENTS_PER_SECOND)
    (first,) = signed(SETS[loaded.kind](1, 2))
    found: list[Load] = []
    over = threading.Event()

    def send(port: int) -> None:
        for seed in count(3):
            if over.is_set():
                return
            some = signed(SETS[loaded.kind](each, seed))
            found.append(paced.load(port, some, _SLICE, _EVENTS_PER_SECOND))

    settings = {"CXONE_BACKFILL_QUIET": "24h"}
    with paced.service(uri, loaded.database.name, settings, first) as port:
        sender = threading.Thread(target=send, args=(port,))
        sender.start()
        try:
            yield found
        finally:
            over.set()
            sender.join()


def beside_ingest(uri: str, loaded: Loaded, seconds: float, turns: int) -> None:
    """The latencies of paced events through HTTP, by turns alone and beside a backfill."""
    events, each = loaded.database[EVENTS], int(seconds * _EVENTS_PER_SECOND)
    first, *prepared = signed(SETS[loaded.kind](1 + 2 * turns * each, 2**32))
    # Nothing is behind, until it is set back.
    loaded.stamp()
    settings = {"CXONE_BACKFILL_QUIET": "0s", "CXONE_BACKFILL_INTERVAL": "1s"}
    print(f"{_EVENTS_PER_SECOND} events/s through the service, {seconds:g} s each:")
    speeds: list[float] = []
    with paced.service(uri, loaded.database.name, settings, first) as port:
        for number in range(2 * turns):
            beside = number % 2 == 1
            if beside:
                loaded.set_back()
                _wait_for_a_backfill(loaded)
            left, began = events.count_documents(loaded.at(loaded.head - 1)), time.perf_counter()
            start = number * each
            found = paced.load(port, prepared[start : start + each], seconds, _EVENTS_PER_SECOND)
            filled = left - events.count_documents(loaded.at(loaded.head - 1))
            speed = filled / (time.perf_counter() - began)
            print(
                f"  {'beside a backfill of' if beside else 'alone, beside'} {speed:7,.0f}"
                f" documents/s: p50 {found.p50 * 1000:.1f}, p99 {found.p99 * 1000:.1f}, longest"
                f" {found.worst * 1000:.1f} ms; answers {found.statuses}",
                flush=True,
            )
            if beside:
                speeds.append(_to_the_end(loaded, seconds) or speed)
            loaded.stamp()
            time.sleep(5)
    print(f"backfill, throttled: {_figures(speeds)}, {_times(median(speeds))}")


def _wait_for_a_backfill(loaded: Loaded) -> None:
    while not loaded.database[EVENTS].count_documents(loaded.at(loaded.head), limit=1):
        time.sleep(0.1)


def _to_the_end(loaded: Loaded, seconds: float) -> float | None:
    """Documents a second of the service's backfill over its whole run, as it records that; None
    where it has not ended after so many seconds."""
    until = time.monotonic() + seconds
    ended = {"job": "backfill", "result.documents": {"$gt": 0}}
    while time.monotonic() < until:
        if not loaded.database[EVENTS].count_documents(loaded.at(loaded.head - 1), limit=1):
            time.sleep(2)
            run = loaded.database[JOB_RUNS].find_one(ended, sort=[("started_at", -1)])
            if run is not None:
                documents, took = run["result"]["documents"], run["result"]["seconds"]
                print(f"  {documents:,} documents in {took:,.0f} s", flush=True)
                return float(documents / took)
        time.sleep(0.5)
    return None


if __name__ == "__main__":
    main()
