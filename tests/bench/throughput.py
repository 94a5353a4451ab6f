"""Measure the service beside what bounds it: `python -m tests.bench.throughput [--quick]`.

In one run, interleaved so that a noisy machine is noisy for all: waitress, Falcon and the HMAC
alone (bare), one durable `insert_one` a request, the plainest group commit without anything else
(crude), the service with all its jobs, and that again while each second an event has a new field
(evolving). Each with every set of `tests.bench.payload_sets`. Ratios are of runs that came one
after the other: their median, and the least and the most. The table is Markdown. With
--instructions each runs in valgrind, which counts these in place of time.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median

from tests.bench import machine
from tests.bench.machine import Contender, Measured
from tests.bench.payload_sets import SETS, Payload, evolving
from tests.bench.requests import signed

Results = dict[Contender, list[Measured]]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    machine.leave_the_first_core()
    contenders = [
        Contender(kind, int(threads))
        for kind, _, counts in (item.partition("=") for item in options.contenders)
        for threads in counts.split(",")
    ]
    with (
        machine.mongod(options.uri) as uri,
        machine.subjects(contenders, uri, options.instructions) as subjects,
    ):
        header(options)
        remarks: list[str] = []
        for name in options.sets:
            results: Results = {contender: [] for contender in contenders}
            for turn, (steady, growing) in enumerate(_turns(SETS[name], options)):
                for subject in subjects:
                    path = growing if subject.contender.kind == "evolving" else steady
                    found = machine.measure(
                        subject, path, options.connections, options.seconds, options.rate
                    )
                    subject.empty()
                    # The first turn warms up: schemas, connections, caches.
                    if turn:
                        results[subject.contender].append(found)
            remarks += report(results, name, options.instructions)
        print("", *remarks, sep="\n")


def _turns(
    payloads: Callable[[int, int], Iterator[Payload]], options: argparse.Namespace
) -> Iterator[tuple[Path, Path]]:
    """Files of requests for each turn: those of all, and with new fields between them."""
    steady = signed(payloads(options.count, 1))
    # Never a field twice, so that each is new.
    later = evolving(payloads(10_000, 2))
    for _ in range(options.runs + 1):
        with ExitStack() as files:
            growing = signed(islice(later, int(options.seconds) + 1))
            yield (
                files.enter_context(machine.prepared(steady)),
                files.enter_context(machine.prepared(steady, growing)),
            )


def header(options: argparse.Namespace) -> None:
    """Print the head of the table."""
    cost = "k instructions" if options.instructions else "CPU µs"
    print(f"{options.connections} connections, medians of {options.runs} runs\n")
    for cells in (
        ("", "threads", "requests/s", "of bare", cost, "of bare", "p50 ms", "p99 ms", "RSS MB"),
        ("---", *["---:"] * 8),
    ):
        print(f"| {' | '.join(cells)} |", flush=True)


def report(results: Results, name: str, instructions: bool) -> list[str]:
    """Print a row for each contender with the payloads of a set, and return what is to be said of
    them below the table."""
    factor = 1e3 if instructions else 1e6
    bare, remarks = _runs(results, "bare"), []
    for contender, runs in results.items():
        pairs = list(zip(runs, bare, strict=False))
        cells = (
            f"{name}: {contender.kind}",
            f"{contender.threads}",
            f"{median(run.load.rate for run in runs):,.0f}",
            _spread([run.load.rate / other.load.rate for run, other in pairs]),
            f"{factor * median(run.cpu for run in runs):.0f}",
            _spread([other.cpu / run.cpu for run, other in pairs]),
            f"{1000 * median(run.load.p50 for run in runs):.1f}",
            f"{1000 * median(run.load.p99 for run in runs):.1f}",
            f"{median(run.memory for run in runs):.0f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)
        statuses: Counter[str] = Counter()
        for run in runs:
            statuses.update(run.load.statuses)
        if set(statuses) != {"200"}:
            remarks.append(f"{name}: {contender.kind} answered {dict(statuses)}")
        if median(run.load.busy for run in runs) > 0.9:
            remarks.append(f"{name}: {contender.kind} was bounded by the client")
    pairs = list(zip(_runs(results, "evolving"), _runs(results, "service"), strict=False))
    if pairs:
        ratio = _spread([run.cpu / other.cpu for run, other in pairs])
        remarks.append(f"{name}: evolving costs {ratio} of the steady service")
    return remarks


def _runs(results: Results, kind: str) -> list[Measured]:
    return next((runs for contender, runs in results.items() if contender.kind == kind), [])


def _spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.throughput", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes instead of fifteen")
    parser.add_argument("--instructions", action="store_true", help="count them, with valgrind")
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--count", type=int, help="requests a run")
    parser.add_argument("--seconds", type=float, help="at most so long a run")
    parser.add_argument(
        "--rate", type=float, help="requests a second, instead of as many as are answered"
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[*SETS])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--contenders",
        nargs="+",
        metavar="KIND=THREADS,…",
        default=["bare=4", "insert_one=32", "crude=64", "service=16", "evolving=16"],
    )
    options = parser.parse_args(arguments)
    counted, quick = options.instructions, options.quick
    options.runs = options.runs or (1 if counted else 3 if quick else 7)
    options.count = options.count or (400 if counted else 6000 if quick else 20000)
    options.seconds = options.seconds or (300.0 if counted else 2.0 if quick else 5.0)
    return options


if __name__ == "__main__":
    main()
