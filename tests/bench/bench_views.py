"""Measure what readers pay for views, and what it costs to redefine them.

By hand: `python -m tests.bench.bench_views [EVENTS]` (10,000 by default). In one run: reading all
events of a subject as dicts through its view, beside the collection; and redefining one view where
there are 500 of 60, 150 and 300 paths each.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import bson
import msgspec

from consumer.demo.samples.scenario import traffic
from consumer.mongodb.client import EVENTS, OurDatabase, connect, open_database
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.readers.pins import Pin
from consumer.readers.projection import projection_of
from consumer.readers.view import pipeline
from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import fill
from tests.bench.bench_schema import learned

_RUNS = 7
_NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


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


def redefining(database: OurDatabase, views: int = 500, paths: int = 300) -> None:
    payload: dict[str, dict[str, Any]] = {}
    for number in range(paths - 30):
        group = payload.setdefault(f"group{number % 30}", {})
        group[f"field{number}"] = (1, "text", True)[number % 3]
    version = learned([payload])
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


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else 10_000
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedMongo(Path(directory)).start()
        try:
            with connect(server.uri, timeout=60) as client:
                reading(open_database(client, "reading"), count)
                for paths in (60, 150, 300):
                    redefining(open_database(client, f"redefining_{paths}"), paths=paths)
        finally:
            server.stop(grace=0)


if __name__ == "__main__":
    main()
