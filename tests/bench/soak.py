"""Run the service at a steady rate for a long time, and tell whether memory, file handles, threads
and log stay flat: `python -m tests.bench.soak [--minutes 30] [--rate 80] [--out FILE]`.

What is sent is mixed: of 20 deliveries 13 are new, 3 were sent before, 2 are signed wrongly, 1 is
not signed and 1 is malformed; `/metrics` and `/readyz` are asked as a monitor would.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from statistics import linear_regression, median
from time import monotonic, sleep

from consumer.demo.samples.scenario import traffic
from consumer.http.webhook import ROUTE
from consumer.ingest.signature import SignatureScheme, sign
from tests.bench import machine
from tests.bench.requests import SECRET
from tests.bench.startup import answered, free_port
from tests.bench.subject import resident
from tests.support.processes import environment

_CONNECTIONS = 16
_ALIVE = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
_SCHEME = SignatureScheme()
Request = tuple[bytes, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """Holdings of the process `minute` minutes after the first delivery; RSS and log in MB."""

    minute: float
    rss: float
    handles: int
    threads: int
    log: float


class Service:
    """`cxone-consumer serve` with its log in a file."""

    def __init__(self, uri: str, directory: Path) -> None:
        self.port = free_port()
        self._log = directory / "log.jsonl"
        given = {
            "CXONE_SHARED_SECRET": SECRET,
            "CXONE_DATA_DIR": str(directory),
            "MONGODB_URI": uri,
            "MONGODB_DATABASE": "soak",
            "LOG_FORMAT": "json",
        }
        command = [sys.executable, "-m", "consumer", "serve", "--listen", f"127.0.0.1:{self.port}"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment(given), stderr=log)

    def sample(self, began: float) -> Sample:
        place = Path(f"/proc/{self.process.pid}")
        return Sample(
            (monotonic() - began) / 60,
            resident(self.process.pid),
            len(os.listdir(place / "fd")),  # noqa: PTH208
            len(os.listdir(place / "task")),  # noqa: PTH208
            self._log.stat().st_size / 1e6,
        )


@contextmanager
def service(uri: str) -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="cxone-soak-") as directory:
        running = Service(uri, Path(directory))
        try:
            yield running
        finally:
            running.process.terminate()
            running.process.wait(60)


def deliveries(count: int, seed: int = 1) -> Iterator[Request]:
    """`count` bodies with their headers, mixed as said above."""
    chance = random.Random(seed)
    recent: deque[bytes] = deque([b'{"id":"first","type":"soak"}'], maxlen=200)
    new = traffic(seed, count, lambda: datetime.now(timezone.utc))
    for number in range(count):
        kind = number % 20
        body = next(new) if kind < 17 else b'{"id":"%d","type":"forged"}' % number
        if kind >= 14 and kind < 17:
            body = chance.choice(recent)
        elif kind == 19:
            body = b'{"id":"%d",,}' % number
        elif kind < 17:
            recent.append(body)
        headers = {"Content-Type": "application/json"}
        if kind != 18:
            key = b"of somebody else" if kind in (16, 17) else SECRET.encode()
            headers |= sign(_SCHEME, key, body, datetime.now(timezone.utc))
        yield body, headers


def send(port: int, rate: float, minutes: float) -> Counter[str]:
    """Send at the rate; how many had which answer."""
    numbered = enumerate(deliveries(int(rate * minutes * 60)))
    taking = threading.Lock()
    begin = monotonic()

    def work(_: int) -> Counter[str]:
        statuses: Counter[str] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while True:
            with taking:
                number, (body, headers) = next(numbered, (0, (b"", {})))
            if not headers:
                connection.close()
                return statuses
            sleep(max(0.0, begin + number / rate - monotonic()))
            try:
                connection.request("POST", ROUTE, body, headers)
                response = connection.getresponse()
                response.read()
                statuses[str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                statuses[type(error).__name__] += 1
                connection.close()
            # New connections come and go beside the kept ones.
            if number % 97 == 0:
                connection.close()

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return sum(pool.map(work, range(_CONNECTIONS)), Counter())


def watch(running: Service, every: float, stop: threading.Event) -> list[Sample]:
    """Samples until `stop`; asks what a monitor asks."""
    samples: list[Sample] = []
    began = monotonic()
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        for path in ("/metrics", "/readyz"):
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()
        samples.append(running.sample(began))
        if stop.wait(every):
            return samples


def report(samples: Sequence[Sample], warm_up: float) -> None:
    """Print each figure after the warm-up (minutes): at its begin and end, and its trend."""
    steady = [sample for sample in samples if sample.minute >= warm_up] or list(samples)
    minutes = [sample.minute for sample in steady]
    quarter = max(1, len(steady) // 4)
    print(f"{len(steady)} samples from minute {minutes[0]:.1f} to {minutes[-1]:.1f}")
    print(f"{'':10}{'first quarter':>14}{'last quarter':>14}{'least':>9}{'most':>9}{'an hour':>10}")
    for name in ("rss", "handles", "threads", "log"):
        values = [float(getattr(sample, name)) for sample in steady]
        slope = linear_regression(minutes, values).slope * 60 if len(steady) > 1 else 0.0
        print(
            f"{name:10}{median(values[:quarter]):14.1f}{median(values[-quarter:]):14.1f}"
            f"{min(values):9.1f}{max(values):9.1f}{slope:+10.2f}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=80.0, help="deliveries a second")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--out", type=Path, help="write the samples there as CSV")
    options = parser.parse_args(arguments)
    with machine.mongod(options.uri) as uri, service(uri) as running:
        deadline = monotonic() + 60
        while not answered(running.port, _ALIVE):
            if running.process.poll() is not None or monotonic() > deadline:
                raise RuntimeError("the service did not start: run `cxone-consumer serve`")
            sleep(0.05)
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch, running, options.every, stop)
            statuses = send(running.port, options.rate, options.minutes)
            stop.set()
            samples = watching.result()
    print(f"{sum(statuses.values())} deliveries at {options.rate:g}/s, answers {dict(statuses)}")
    report(samples, warm_up=options.minutes / 6)
    if options.out:
        with options.out.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(field.name for field in fields(Sample))
            rows.writerows(map(astuple, samples))


if __name__ == "__main__":
    main()
