"""Measure what it costs that an index or the validator refuses what is filled in.

By hand: `python -m tests.bench.bench_refusals`. Threads ingest events that lack a field, with and
without a constraint that refuses its filling; in one run, in turns. A cause costs a second insert
once, so the ratio of throughput is to be 0.9 or more.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any

from config import logs
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.runtime.shared import SharedParts, build_shared
from tests.bench import machine
from tests.support.spool import load

_THREADS = 16
_SECONDS = 4.0
_RUNS = 5
_ROW = {f"field_{n}": (n, "text", 1.5, None)[n % 4] for n in range(30)}
_KNOWN: Mapping[str, Any] = {
    "type": "t", **_ROW, "customer": {"email": "a@example.com", "name": "A"}, "language": "english"
}  # fmt: skip
_SENT: Mapping[str, Any] = {"type": "t", **_ROW, "customer": {"name": "A"}}
_IS_TEXT = {"customer": {"properties": {"email": {"bsonType": "string"}}}}


def constrain(name: str, shared: SharedParts) -> None:
    events = shared.database["events"]
    if name == "unique sparse index":
        events.create_index("customer.email", unique=True, sparse=True)
    elif name == "text index":
        events.create_index([("field_1", "text")])
    elif name == "validator":
        rules = {"$jsonSchema": {"properties": _IS_TEXT}}
        shared.database.command("collMod", "events", validator=rules)


def send(shared: SharedParts, payload: Mapping[str, Any], name: str) -> None:
    now = utc_now()
    body = json.dumps({"id": name, **payload}).encode()
    outcome = shared.ingest.store(Delivery(name, body, Headers({}), now, Verdict("current", now)))
    assert outcome.status == "processed", outcome


def rate(shared: SharedParts, turn: int) -> float:
    """Events a second of all threads together."""
    counts: list[int] = []
    stop = threading.Event()

    def work(thread: int) -> None:
        sent = 0
        while not stop.is_set():
            send(shared, _SENT, f"{turn}-{thread}-{sent}")
            sent += 1
        counts.append(sent)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_THREADS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(_SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def main() -> None:
    names = ("no constraint", "unique sparse index", "text index", "validator")
    with ExitStack() as stack:
        uri = stack.enter_context(machine.mongod(None))
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="cxone-bench-"))
        stream = stack.enter_context((Path(directory) / "log").open("w", encoding="utf-8"))
        logs.configure("info", "json", stream)
        wired: dict[str, SharedParts] = {}
        for number, name in enumerate(names):
            settings = load(uri, f"bench_{number}", Path(directory))
            shared = stack.enter_context(closing(build_shared(settings, uri)))
            send(shared, _KNOWN, "known")
            constrain(name, shared)
            wired[name] = shared
        rates: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(_RUNS + 1):
            for name, shared in wired.items():
                found = rate(shared, turn)
                # The first turn warms up, and has the refusals.
                if turn:
                    rates[name].append(found)
        plain = median(rates["no constraint"])
        print(f"{'':24}{'events/s':>10}{'ratio':>8}{'unfilled':>10}")
        for name, shared in wired.items():
            unfilled = shared.database["events"].count_documents({"_meta.unfilled": {"$gt": 0}})
            here = median(rates[name])
            print(f"{name:24}{here:10,.0f}{here / plain:8.2f}{unfilled:10,}")


if __name__ == "__main__":
    main()
