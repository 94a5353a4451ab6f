"""Measure whether other subjects feel what the guards keep out, and what an event costs that has
addresses for keys.

By hand: `python -m tests.bench.bench_guards`. Beside each flood, and beside as many known events
with as many values at the same pace, threads ingest events of another subject as fast as they can:
the ratio of their rates is what the flood costs others. In one run, in turns.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from config import logs
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.runtime.shared import SharedParts, build_shared
from tests.bench import machine
from tests.support import floods
from tests.support.floods import Payload
from tests.support.spool import load

_THREADS = 8
_SECONDS = 4.0
_RUNS = 3


@dataclass(frozen=True, slots=True)
class Flood:
    """Bodies to be sent `rate` times a second, and the known ones to compare them with."""

    name: str
    rate: float
    bodies: Sequence[bytes]
    ordinary: Sequence[bytes]


def ordinary(name: str, values: int) -> list[bytes]:
    """Events of a known shape with so many values, in rows of ten."""
    row = {f"column_{n}": (n, "text", 1.5, None)[n % 4] for n in range(min(10, values))}
    rows = [row] * max(1, values // 10)
    return _encoded([{"type": f"ordinary.{name}", "rows": rows}])


def all_floods() -> list[Flood]:
    wide = [
        {key[::-1] + str(n): value for key, value in floods.wide()[0].items()}
        | {"type": "flood.wide"}
        for n in range(20)
    ]
    return [
        Flood("10,000 random keys, 5/s", 5, _encoded(wide), ordinary("wide", 10_000)),
        Flood("a new key each, 200/s", 200, _encoded(floods.drip()), ordinary("drip", 2)),
        Flood("UUID maps of 50 x 1, 50/s", 50, _encoded(floods.maps()), ordinary("maps", 100)),
        Flood("90 deep, 200/s", 200, _encoded(floods.deep()), ordinary("deep", 90)),
        Flood("3,000 types, 200/s", 200, _encoded(floods.types()), ordinary("types", 2)),
    ]


def _encoded(payloads: Sequence[Payload]) -> list[bytes]:
    return [json.dumps({key: value for key, value in payload.items() if key != "id"}).encode()
            for payload in payloads]  # fmt: skip


def _with_id(body: bytes, number: int) -> bytes:
    return b'{"id":"%d",' % number + body[1:]


class Sending:
    """Feeds bodies into the ingest, each as a new event."""

    def __init__(self, shared: SharedParts) -> None:
        self._core = shared
        self._numbers: Iterator[int] = itertools.count()

    def send(self, body: bytes) -> None:
        now = utc_now()
        delivery = Delivery(
            "", _with_id(body, next(self._numbers)), Headers({}), now, Verdict("current", now)
        )
        self._core.ingest.store(delivery)

    def others(self, known: bytes, stop: threading.Event, counts: list[int]) -> None:
        """Send a known event again and again; append how many it were."""
        sent = 0
        while not stop.is_set():
            self.send(known)
            sent += 1
        counts.append(sent)

    def paced(self, bodies: Sequence[bytes], rate: float, stop: threading.Event) -> None:
        begin = time.perf_counter()
        for number, body in enumerate(itertools.cycle(bodies)):
            if stop.wait(max(0.0, begin + number / rate - time.perf_counter())):
                return
            self.send(body)

    def rate_beside(self, bodies: Sequence[bytes], rate: float) -> float:
        """Events of the other subject a second, while `bodies` come at their pace."""
        row = {f"field_{n}": (n, "text", 1.5, None)[n % 4] for n in range(30)}
        known = _encoded([{"type": "other", **row}])[0]
        self.send(known)
        counts: list[int] = []
        stop = threading.Event()
        work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (self.others, (known, stop, counts))
        ] * _THREADS
        threads = [
            threading.Thread(target=target, args=arguments)
            for target, arguments in [*work, (self.paced, (bodies, rate, stop))]
        ]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        time.sleep(_SECONDS)
        stop.set()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - begin)


def cost(sending: Sending, body: bytes, events: int = 1_500) -> float:
    """CPU microseconds of ingesting one such event."""
    begin = time.process_time()
    for _ in range(events):
        sending.send(body)
    return (time.process_time() - begin) / events * 1e6


def address_beside_names(sending: Sending) -> None:
    """Print what an event costs that has an address beside 30 names, and one that has none."""
    row: Payload = {f"field_{n}": (n, "text", 1.5, None)[n % 4] for n in range(30)}
    bodies = _encoded(
        [
            {"type": "named", **row, "inside": row},
            {"type": "addressed", **row, "user5@example.com": 1, "inside": {**row, "+15551234": 1}},
        ]
    )
    for body in bodies:
        sending.send(body)
    known, addressed = (median(cost(sending, body) for _ in range(_RUNS)) for body in bodies)
    print(f"CPU of an event with known fields {known:.0f} us;", end=" ")
    print(f"with two addresses for keys besides {addressed:.0f} us: {addressed / known:.2f}")


def main() -> None:
    with (
        machine.mongod(None) as uri,
        tempfile.TemporaryDirectory(prefix="cxone-bench-") as directory,
        (Path(directory) / "log").open("w", encoding="utf-8") as stream,
    ):
        logs.configure("info", "json", stream)
        with closing(build_shared(load(uri, "bench", Path(directory)), uri)) as shared:
            sending = Sending(shared)
            address_beside_names(sending)
            print(f"{'events/s of another subject beside':36}", end="")
            print(f"{'ordinary':>10}{'flood':>10}{'ratio':>8}")
            for flood in all_floods():
                with_ordinary, with_flood = [], []
                for _ in range(_RUNS):
                    with_ordinary.append(sending.rate_beside(flood.ordinary, flood.rate))
                    with_flood.append(sending.rate_beside(flood.bodies, flood.rate))
                ratio = median(with_flood) / median(with_ordinary)
                print(
                    f"{flood.name:36}{median(with_ordinary):10,.0f}{median(with_flood):10,.0f}"
                    f"{ratio:8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
