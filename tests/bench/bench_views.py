"""Measure what readers pay for views, and what it costs to redefine them.

By hand: `python -m tests.bench.bench_views [EVENTS]` (10,000 by default). In one run: reading all
events of a subject as dicts through its view, beside the collection; redefining one view where
there are 500 of 60, 150 and 300 paths each; and an alias, until all of the 20 readers of its
subject see it. `python -m tests.bench.bench_views beside` sends a service 100 events a second, in
pairs of spans: in the second an alias changes what 20 of 500 show.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from statistics import median
from threading import Thread
from time import perf_counter, sleep
from typing import Any

import bson
import msgspec

from consumer.demo.samples.scenario import traffic
from consumer.mongodb.client import (
    EVENTS,
    READERS,
    SCHEMA_VERSIONS,
    OurDatabase,
    connect,
    open_database,
)
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.privacy.rules import Redaction
from consumer.readers.pins import Pin, Pins
from consumer.readers.projection import projection_of
from consumer.readers.view import pipeline
from consumer.readers.views import Views
from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import fill
from consumer.schemas.manual_changes import alias, unalias
from consumer.schemas.registry.registry import SchemaRegistry
from tests.bench import paced
from tests.bench.bench_schema import learned
from tests.bench.payload_sets import varied
from tests.bench.requests import signed

_RUNS = 7
_NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
# Seconds of a span, events a second in it.
_SPAN = 30.0
_RATE = 100.0
# Seconds between looks at the readers, in the process that measures: more often would be seen.
_LOOK = 0.25


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    taken = []
    for _ in range(_RUNS):
        begin = perf_counter()
        work()
        taken.append(perf_counter() - begin)
    return min(taken)


def reading(database: OurDatabase, count: int) -> None:
    payloads = [msgspec.json.decode(each) for each in islice(traffic(1, count), count)]
    version = learned(payloads)
    schema = compile_schema(version)
    meta = {"_meta": {"subject": "s"}, "schema_version": 1, "processed_at": _NOW}
    for payload in payloads:
        fill(payload, schema.check(payload))
    database[EVENTS].insert_many(
        [{**payload, "_id": n, **meta} for n, payload in enumerate(payloads)]
    )
    pin = Pin("bench.s", "bench", "s", version.number, _NOW, "bench")
    steps = pipeline(projection_of(pin, version))
    database.command({"create": pin.view, "viewOn": EVENTS, "pipeline": steps})

    def read(name: str) -> float:
        return best(lambda: list(database[name].find()))

    plain, seen = read(EVENTS), read(pin.view)
    print(
        f"{count:,} events of {len(version.live)} paths as dicts: collection {plain:.3f} s, view"
        f" {seen:.3f} s, {seen / plain:.1f} times"
    )


def grouped(paths: int) -> dict[str, Any]:
    """A payload of so many paths, in 30 objects."""
    payload: dict[str, dict[str, Any]] = {}
    for number in range(paths - 30):
        group = payload.setdefault(f"group{number % 30}", {})
        group[f"field{number}"] = (1, "text", True)[number // 30 % 3]
    return payload


def redefining(database: OurDatabase, views: int = 500, paths: int = 300) -> None:
    version = learned([grouped(paths)])
    pin = Pin("r.s", "r", "s", 1, _NOW, "bench")
    steps = pipeline(projection_of(pin, version))
    for number in range(views):
        database.command({"create": f"r{number}.s", "viewOn": EVENTS, "pipeline": steps})

    def redefine() -> None:
        database.command({"collMod": "r0.s", "viewOn": EVENTS, "pipeline": steps})

    making = best(lambda: pipeline(projection_of(pin, version)))
    encoding = best(lambda: bson.encode({"": steps}))
    begin = perf_counter()
    # MongoDB knows all views by what it parsed as each was made; collMod has it parse all again, at
    # the next change of any.
    redefine()
    first = perf_counter() - begin
    print(
        f"one of {views} views of {len(version.live)} paths: pipeline made {making * 1000:.1f} ms,"
        f" as BSON {encoding * 1000:.2f} ms, {len(bson.encode({'': steps})):,} bytes; collMod"
        f" {first:.2f} s, behind another {best(redefine):.2f} s"
    )


def pinned(database: OurDatabase) -> tuple[SchemaRegistry, Views]:
    """Twenty readers of each of 25 subjects of 300 paths."""
    registry = SchemaRegistry(database[SCHEMA_VERSIONS])
    pins = Pins(database[READERS])
    views = Views(database, pins, registry, Redaction)
    for subject in range(25):
        registry.admit(f"s{subject}", grouped(300), "e")
        for reader in range(20):
            view = pins.view_name(f"r{reader}", f"s{subject}")
            views.pin(Pin(view, f"r{reader}", f"s{subject}", 1, _NOW, "bench"))
    return registry, views


def aliasing(database: OurDatabase) -> None:
    registry, views = pinned(database)
    took: list[float] = []
    for turn in range(_RUNS):
        waiting = _change_alias(database, registry, turn % 2 == 0)
        begin = perf_counter()
        work = Thread(target=views.keep, args=(lambda: False,))
        work.start()
        while database[READERS].count_documents(waiting):
            sleep(0.01)
        took.append(perf_counter() - begin)
        work.join()
    print(
        f"an alias, seen by 20 of 500 readers of {len(registry.subjects())} subjects: median"
        f" {median(took):.2f} s, least {min(took):.2f}, most {max(took):.2f}"
    )


def beside(uri: str, database: OurDatabase, pairs: int = 5) -> None:
    requests = signed(varied(int(_SPAN * _RATE) + 1, 1))
    with paced.service(uri, database.name, {}, requests[0]) as port:
        registry, _ = pinned(database)
        for pair in range(pairs):
            for is_beside in (False, True):
                took: list[float] = []
                work = Thread(target=_redefine, args=(database, registry, pair % 2 == 0, took))
                if is_beside:
                    work.start()
                load = paced.load(port, requests[1:], _SPAN, _RATE)
                if is_beside:
                    work.join()
                told = f"beside 20 readers' alias, in {took[0]:.1f} s" if took else "alone"
                print(
                    f"{load.rate:.0f} events/s {told}: p50 {load.p50 * 1000:.1f} ms, p99"
                    f" {load.p99 * 1000:.1f} ms, worst {load.worst * 1000:.1f} ms",
                    flush=True,
                )


def _change_alias(
    database: OurDatabase, registry: SchemaRegistry, is_first: bool
) -> dict[str, Any]:
    """Change an alias of a subject; the query for its readers whose view does not show it yet."""
    before = database[READERS].distinct("applied.base_digest", {"subject": "s0"})
    old, new = ("group0", "field0"), ("new",)
    registry.change(
        "s0", lambda head, now: alias(head, old, new, now) if is_first else unalias(head, old, now)
    )
    return {"subject": "s0", "applied.base_digest": {"$in": before}}


def _redefine(
    database: OurDatabase, registry: SchemaRegistry, is_first: bool, took: list[float]
) -> None:
    """Seconds from the first to the last reader whose view shows a changed alias."""
    views, waiting = database[READERS], _change_alias(database, registry, is_first)
    while views.count_documents(waiting) == 20:
        sleep(_LOOK)
    begin = perf_counter()
    while views.count_documents(waiting):
        sleep(_LOOK)
    took.append(perf_counter() - begin)


def main() -> None:
    is_beside = sys.argv[1:] == ["beside"]
    count = int(sys.argv[1]) if sys.argv[1:] and not is_beside else 10_000
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedMongo(Path(directory)).start()
        try:
            with connect(server.uri, timeout=60) as client:
                if is_beside:
                    beside(server.uri, open_database(client, "beside"))
                    return
                reading(open_database(client, "reading"), count)
                for paths in (60, 150, 300):
                    redefining(open_database(client, f"redefining_{paths}"), paths=paths)
                aliasing(open_database(client, "aliasing"))
        finally:
            server.stop(grace=0)


if __name__ == "__main__":
    main()
