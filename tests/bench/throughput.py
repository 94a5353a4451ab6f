"""Measure the service beside what bounds it: `python -m tests.bench.throughput [--quick]`.

In one run, interleaved so that a noisy machine is noisy for all: (a) waitress, Falcon and the
HMAC alone, (b) one durable `insert_one` per request, (c) the service; and (c) over a plain
`insert_one`, which is what the shared inserts have to beat.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from statistics import median

from tests.bench import machine
from tests.bench.machine import Contender, Measured
from tests.bench.requests import requests

Results = dict[Contender, list[Measured]]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    machine.leave_the_first_core()
    contenders = [
        Contender(kind, int(threads))
        for kind, _, counts in (item.partition("=") for item in options.contenders)
        for threads in counts.split(",")
    ]
    with machine.mongod(options.uri) as uri, machine.subjects(contenders, uri) as subjects:
        for size in options.sizes:
            with machine.prepared(requests(options.count, size)) as path:
                for connections in options.connections:
                    results: Results = {contender: [] for contender in contenders}
                    for turn in range(options.runs + 1):
                        for subject in subjects:
                            found = machine.measure(
                                subject, path, connections, options.seconds, options.rate
                            )
                            subject.empty()
                            # The first turn warms up: schemas, connections, caches.
                            if turn:
                                results[subject.contender].append(found)
                    report(results, size, connections)


def report(results: Results, size: int, connections: int) -> None:
    """Print medians as one table; ratios to the best of (a) and of (b)."""
    wall = _best(results, "bare")
    plain = _best(results, "insert_one")
    print(f"\n{size} byte bodies, {connections} connections, medians of", end=" ")
    print(f"{len(next(iter(results.values())))} runs")
    print(
        f"{'':28}{'req/s':>8}{'to (a)':>8}{'to (b)':>8}{'p50 ms':>8}{'p99 ms':>8}"
        f"{'CPU us':>8}{'busy':>6}{'client':>7}{'RSS MB':>8}"
    )
    for contender, runs in results.items():
        rate = median(run.load.rate for run in runs)
        row = [
            f"{contender.name:28}{rate:8.0f}",
            f"{rate / wall:8.2f}" if wall else f"{'':8}",
            f"{rate / plain:8.2f}" if plain else f"{'':8}",
            f"{1000 * median(run.load.p50 for run in runs):8.2f}",
            f"{1000 * median(run.load.p99 for run in runs):8.2f}",
            f"{1e6 * median(run.cpu for run in runs):8.0f}",
            f"{median(run.busy for run in runs):6.2f}",
            f"{median(run.load.busy for run in runs):7.2f}",
            f"{median(run.memory for run in runs):8.1f}",
        ]
        statuses: Counter[str] = Counter()
        for run in runs:
            statuses.update(run.load.statuses)
        if set(statuses) != {"200"}:
            row.append(f"  answers: {dict(statuses)}")
        if median(run.load.busy for run in runs) > 0.9:
            row.append("  the client was the bottleneck")
        rates = [run.load.rate for run in runs]
        row.append(f"  ({min(rates):.0f}-{max(rates):.0f})")
        print("".join(row))


def _best(results: Results, kind: str) -> float:
    rates = [
        median(run.load.rate for run in runs)
        for contender, runs in results.items()
        if contender.kind == kind
    ]
    return max(rates, default=0.0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.throughput", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of ten")
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--count", type=int, help="requests a run")
    parser.add_argument("--seconds", type=float, help="at most so long a run")
    parser.add_argument(
        "--rate", type=float, help="requests a second, instead of as many as are answered"
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="bytes of a body")
    parser.add_argument("--connections", type=int, nargs="+")
    parser.add_argument(
        "--contenders",
        nargs="+",
        metavar="KIND=THREADS,…",
        default=["bare=4", "insert_one=8,16,32", "service=16,32,64", "plain=16"],
    )
    options = parser.parse_args(arguments)
    quick = options.quick
    options.runs = options.runs or (3 if quick else 5)
    options.count = options.count or (6000 if quick else 20000)
    options.seconds = options.seconds or (2.0 if quick else 6.0)
    options.sizes = options.sizes or ([1000] if quick else [1000, 10_000])
    options.connections = options.connections or [64]
    return options


if __name__ == "__main__":
    main()
