"""Time every screen of the console over 1,000,000 events of 1,000 subjects, and what reading them
does to the webhook: `python -m tests.bench.bench_console`.

A screen is to take 300 ms at most, and the p99 of the webhook to move by a fifth at most. Filling
the database takes minutes; with `--uri` it is done once and kept for the next run.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from itertools import cycle
from urllib.parse import quote, urlencode

from consumer.core.clock import utc_now
from consumer.mongodb.client import EVENTS, connect, open_database
from tests.bench import console_data, machine
from tests.bench.requests import requests
from tests.bench.subject import CONSOLE_PASSWORD

_ALLOWED = 0.3


def screens(subject: str) -> tuple[str, ...]:
    """Every screen, and the costly ways to ask for some of them."""
    name = quote(subject)
    return (
        "",
        "?span=7d",
        "/schemas",
        "/schemas?sort=documents&q=kind_09",
        f"/schemas/subject?name={name}",
        f"/schemas/subject?name={name}&tab=versions",
        f"/schemas/subject?name={name}&tab=compare&from=1&to=3",
        f"/schemas/held?name={name}",
        "/readers",
        "/signals",
        "/adoption",
        f"/adoption?name={name}&span=7d",
        "/adoption?page=40",
        "/events",
        f"/events?type={name}",
        f"/events?type={name}&version=1",
        "/events?id=777",
        "/events?id=7777&where=field_3%3D3",
        "/events?id=99999x",
        "/events?type=contact.kind_00",
        "/events?type=contact.kind_000",
        "/events?where=field_3%3D3",
        "/events?where=field_3%3Dnothing",
        f"/events?type={name}&where=field_3%3Dnothing",
        "/events?to=2026-01-01T00:00",
        "/events/one?id=event-777",
        "/dead-letters",
        "/dead-letters?reason=malformed_json&status=any",
        f"/dead-letters?status=any&type={name}",
        f"/dead-letters/one?id={777:024x}",
        f"/dead-letters/edit?id={777:024x}",
        "/dead-letters/bulk?what=retry",
        "/jobs",
        "/jobs?series=adoption",
        "/settings",
        "/audit",
        "/audit?page=200",
    )


class Reader:
    """Somebody at a browser: one kept-alive connection, logged in."""

    def __init__(self, host: str, port: str) -> None:
        self._connection = http.client.HTTPConnection(host, int(port), timeout=30)
        form = urlencode({"name": "bench", "password": CONSOLE_PASSWORD})
        self._connection.request("POST", "/console/login", form)
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]

    def rest(self) -> None:
        """Close the connection, as the server does with idle ones; reading opens another."""
        self._connection.close()

    def read(self, path: str) -> tuple[float, int]:
        """Seconds until the page was there, and its bytes; raises RuntimeError for any other
        status than 200."""
        began = time.perf_counter()
        self._connection.request("GET", f"/console{path}", headers={"Cookie": self._cookie})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return time.perf_counter() - began, len(body)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bench_console", description=__doc__
    )
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--subjects", type=int, default=1_000)
    parser.add_argument("--letters", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200, help="webhooks a second")
    parser.add_argument("--turns", type=int, default=3, help="each with and without a reader")
    parser.add_argument("--seconds", type=float, default=15, help="of each turn")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two pages")
    parser.add_argument("--fill-only", action="store_true")
    given = parser.parse_args(arguments)
    contender = machine.Contender("console", 16)
    machine.leave_the_first_core()
    with machine.mongod(given.uri) as uri:
        _prepare(uri, contender.database, given)
        if given.fill_only:
            return
        with machine.subjects([contender], uri) as (subject,):
            reader = Reader(subject.host, subject.port)
            _pages(reader, screens(console_data.names(given.subjects)[7]), given.rounds)
            if given.turns:
                _webhook(subject, reader, given)


def _prepare(uri: str, database: str, given: argparse.Namespace) -> None:
    client = connect(uri, timeout=300)
    db = open_database(client, database)
    if db[EVENTS].estimated_document_count() < given.events:
        client.drop_database(database)
        began = time.perf_counter()
        console_data.fill(db, given.events, given.subjects, given.letters, utc_now())
        print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
    client.close()


def _pages(reader: Reader, paths: Sequence[str], rounds: int) -> None:
    """The first reading finds nothing read or drawn before; the worst is of the others."""
    print(f"{'screen':<60} {'first':>8} {'median':>8} {'worst':>8} {'KB':>6}")
    for path in paths:
        first, _ = reader.read(path)
        found = [reader.read(path) for _ in range(rounds)]
        times = [seconds for seconds, _ in found]
        flag = "  TOO SLOW" if max(first, *times) > _ALLOWED else ""
        median, worst = statistics.median(times) * 1000, max(times) * 1000
        size = found[0][1] / 1024
        print(
            f"{path or '(overview)':<60} {first * 1000:6.0f}ms {median:6.0f}ms {worst:6.0f}ms"
            f" {size:6.0f}{flag}"
        )


def _webhook(subject: machine.Subject, reader: Reader, given: argparse.Namespace) -> None:
    """The webhook alone and while somebody reads one screen after the other, in turns."""
    # Open pages fetch themselves anew every five seconds; people click in between.
    paths = cycle(screens(console_data.names(given.subjects)[7]))
    count = int(given.rate * given.seconds)
    alone: list[float] = []
    beside: list[float] = []
    for turn in range(2 * given.turns):
        with machine.prepared(requests(count, 1000, seed=turn + int(time.time()))) as requested:
            pages: list[str] = []
            with _reading(reader, paths, pages, given.every) if turn % 2 else nullcontext():
                load = machine.measure(subject, requested, 16, given.seconds + 5, given.rate).load
        (beside if turn % 2 else alone).append(load.p99)
        print(
            f"{'one reader' if turn % 2 else 'nobody reads':<14} {load.rate:6.0f}/s"
            f"  p50 {load.p50 * 1000:6.2f} ms  p99 {load.p99 * 1000:6.2f} ms"
            f"  worst {load.worst * 1000:6.1f} ms  {len(pages)} pages  {load.statuses}",
            flush=True,
        )
    before, after = statistics.median(alone) * 1000, statistics.median(beside) * 1000
    print(f"median p99 alone {before:.2f} ms, with a reader {after:.2f} ms: {after / before:.2f}")


@contextmanager
def _reading(
    reader: Reader, paths: Iterator[str], pages: list[str], every: float
) -> Iterator[None]:
    """Meanwhile a thread reads the next of `paths` every so many seconds, noted in `pages`."""
    stop = threading.Event()

    def read_on() -> None:
        for path in paths:
            reader.read(path)
            pages.append(path)
            if stop.wait(every):
                return

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_on)
        try:
            yield
        finally:
            stop.set()
    reading.result()
    reader.rest()


if __name__ == "__main__":
    main()
