"""Measure 1, 2 and 4 processes of the service on one MongoDB, and what they leave there.

By hand: `python -m tests.bench.bench_processes`. Each has a client of its own that sends as fast as
it is answered, and once a second an event with a new field. Afterwards every answered event must
be stored once, the versions of each subject follow each other without a gap and without two that
add the same, and the adoption report must equal a count of every document. All share the cores
of one machine, so the figures show what sharing costs, not what more machines bring.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import islice
from statistics import median
from typing import Any

from pymongo.database import Database

from consumer.adoption.report import report
from consumer.adoption.rollup import Bounds, adoption_stores
from consumer.core.clock import utc_now
from consumer.mongodb.client import EVENTS, SCHEMA_VERSIONS, connect, open_database
from consumer.schemas.registry.registry import SchemaRegistry
from tests.bench import machine, paced
from tests.bench.client import Load
from tests.bench.payload_sets import SETS, evolving
from tests.bench.requests import signed
from tests.support.adoption import brute_force

Db = Database[dict[str, Any]]

_CONNECTIONS = 64


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--set", choices=SETS, default="varied", dest="kind")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=20_000, help="of a round, at most")
    parser.add_argument("--seconds", type=float, default=6, help="of a round, at most")
    options = parser.parse_args(arguments)
    rates: dict[int, list[float]] = {processes: [] for processes in options.processes}
    with machine.mongod(options.uri) as uri, closing(connect(uri, timeout=600)) as client:
        for turn in range(options.rounds):
            for processes in options.processes:
                database = open_database(client, f"bench_{processes}_processes_{turn}")
                rates[processes].append(measure(uri, database, processes, options))
                client.drop_database(database.name)
    for processes, found in rates.items():
        ratios = [
            rate / first for rate, first in zip(found, rates[options.processes[0]], strict=True)
        ]
        print(
            f"{processes} processes: {median(found):,.0f} events/s ({min(found):,.0f}-"
            f"{max(found):,.0f}), ratio {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )


def measure(uri: str, database: Db, processes: int, options: argparse.Namespace) -> float:
    """Events a second of all together, once what they left was found to be right."""
    each = options.events // processes
    payloads, later = SETS[options.kind](options.events + processes, 1), SETS[options.kind](1000, 2)
    growing = evolving(later)
    with ExitStack() as stack:
        ports = [
            stack.enter_context(
                paced.service(uri, database.name, {}, signed(islice(payloads, 1))[0])
            )
            for _ in range(processes)
        ]
        paths = [
            stack.enter_context(
                machine.prepared(
                    signed(islice(payloads, each)), signed(islice(growing, int(options.seconds)))
                )
            )
            for _ in ports
        ]
        with ThreadPoolExecutor(processes) as pool:
            sent = [
                pool.submit(load, port, str(path), _CONNECTIONS // processes, options.seconds)
                for port, path in zip(ports, paths, strict=True)
            ]
            loads = [one.result() for one in sent]
    statuses = sum((Counter(one.statuses) for one in loads), Counter[str]())
    spooled = statuses.pop("202", 0)
    assert set(statuses) == {"200"}, statuses
    rate = sum(one.answered for one in loads) / max(one.seconds for one in loads)
    print(
        f"{processes} processes: {rate:,.0f} events/s, {statuses['200']:,} answered 200,"
        f" {spooled:,} spooled; {left_right(database, statuses['200'] + processes, spooled)}",
        flush=True,
    )
    return rate


def load(port: int, path: str, connections: int, seconds: float) -> Load:
    arguments = ["127.0.0.1", str(port), path, str(connections), str(seconds)]
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.client", *arguments],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return Load(**json.loads(finished.stdout))


def left_right(database: Db, stored: int, spooled: int) -> str:
    """Facts on what is stored, each found to be as it must."""
    documents = database[EVENTS].count_documents({})
    # What was spooled may or may not have come in before its process ended.
    assert stored <= documents <= stored + spooled, (stored, documents, spooled)
    numbers: Counter[str] = Counter()
    paths: dict[str, list[Any]] = {}
    for one in database[SCHEMA_VERSIONS].find().sort("_id"):
        subject, before = one["_id"]["subject"], paths.get(one["_id"]["subject"], [])
        numbers[subject] += 1
        assert one["_id"]["version"] == numbers[subject], "a gap"
        paths[subject] = [field["path"] for field in one["fields"]]
        assert paths[subject][: len(before)] == before, "a fork"
        assert len(set(map(str, paths[subject]))) == len(paths[subject]), "a field twice"
    registry = SchemaRegistry(database[SCHEMA_VERSIONS])
    now = utc_now()
    figures = report(adoption_stores(database), registry, Bounds(now, None)).figures
    assert figures == brute_force(database, now, registry)
    return (
        f"{documents:,} stored once, {numbers.total()} versions of"
        f" {len(numbers)} subjects without gap or fork, adoption exact"
    )


if __name__ == "__main__":
    main()
