"""Measure whether throughput stays as it is: `python -m tests.bench.bench_flat [--documents N]`.

In one run, interleaved, the service on an empty collection with six event types, on one with
1,000,000 documents, and with 500 event types. Every turn posts events that are new to all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median
from typing import Any

from pymongo import MongoClient

from tests.bench import machine
from tests.bench.machine import Contender, Measured, Subject
from tests.bench.requests import requests

_BATCH = 10_000
# Kinds of events among the samples; each becomes as many types as are asked for.
_KINDS = 6
# Turns until every type has shown its rare fields too.
_WARM_UP = 3


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_flat", description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--subjects", type=int, default=504, help="a multiple of the six kinds")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--count", type=int, default=8000, help="requests a turn")
    parser.add_argument("--seconds", type=float, default=4.0, help="at most so long a turn")
    options = parser.parse_args(arguments)
    machine.leave_the_first_core()
    cases = {
        "empty": (Contender("service", 16), 0),
        "documents": (Contender("service", 17), 0),
        "subjects": (Contender("service", 18), options.subjects // _KINDS),
    }
    contenders = [contender for contender, _ in cases.values()]
    with machine.mongod(None) as uri, machine.subjects(contenders, uri) as subjects:
        running = dict(zip(cases, subjects, strict=True))
        _fill(uri, running["documents"], options.documents)
        results: dict[str, list[Measured]] = {name: [] for name in cases}
        for turn in range(options.turns + _WARM_UP):
            for name, (_, many) in cases.items():
                new = requests(options.count, 1000, seed=turn + 2, subjects=many)
                with machine.prepared(new) as path:
                    found = machine.measure(running[name], path, 64, options.seconds)
                if turn >= _WARM_UP:
                    results[name].append(found)
    report(results, options)


def report(results: dict[str, list[Measured]], options: argparse.Namespace) -> None:
    labels = {
        "empty": "no documents, 6 event types",
        "documents": f"{options.documents:,} documents",
        "subjects": f"{options.subjects} event types",
    }
    base = median(run.load.rate for run in results["empty"])
    print(f"\n{'':30}{'req/s':>8}{'ratio':>8}{'p99 ms':>8}{'CPU us':>8}{'busy':>6}")
    for name, runs in results.items():
        rate = median(run.load.rate for run in runs)
        print(
            f"{labels[name]:30}{rate:8.0f}{rate / base:8.2f}"
            f"{1000 * median(run.load.p99 for run in runs):8.1f}"
            f"{1e6 * median(run.cpu for run in runs):8.0f}{median(run.busy for run in runs):6.2f}"
        )


def _fill(uri: str, subject: Subject, documents: int) -> None:
    """Real documents of the service, copied by MongoDB under other ids."""
    with machine.prepared(requests(_BATCH, 1000)) as path:
        machine.measure(subject, path, 64, 60.0)
    with MongoClient[dict[str, Any]](uri) as client:
        events = client[subject.contender.database]["events"]
        copies = max(documents // _BATCH - 1, 1)
        events.aggregate(
            [
                # Not the copies, which this very command adds.
                {"$match": {"_id": {"$not": {"$regex": "-"}}}},
                {"$set": {"_copy": {"$range": [0, copies]}}},
                {"$unwind": "$_copy"},
                {"$set": {"_id": {"$concat": ["$_id", "-", {"$toString": "$_copy"}]}}},
                {"$unset": "_copy"},
                {"$merge": "events"},
            ],
            allowDiskUse=True,
        )
        # A checkpoint, so that none of this is still to be written while others are measured.
        client.admin.command("fsync")
        print(f"{events.estimated_document_count():,} documents in the full collection")


if __name__ == "__main__":
    main()
