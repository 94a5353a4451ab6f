"""Send events over many connections and resend what was not answered, as CXone does."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.processes import environment
from tests.spooling import Sender

Event = dict[str, Any]
ROOT = Path(__file__).parents[2]


def event(number: int) -> Event:
    """An event of a schema that drifts: now and then a new field, or one of another type."""
    kinds = (number, f"text {number}", number / 8, number % 2 == 0, [{"at": number}], None)
    return {
        "id": f"event-{number}",
        "type": "contact.created",
        "n": number,
        "float": float(number),
        f"field_{number % 5}": {"deep": [number, {"key": 1.5}]},
        # Fewer new versions in all than the guard allows in an hour.
        f"late_{number // 1000}": "a new field",
        "drifting": kinds[number // 40 % len(kinds)],
    }


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and seconds from when the event was due to be sent until it came."""

    number: int
    status: int
    seconds: float


class Process:
    """`python -m tests.spooling`, which a test may kill."""

    def __init__(self, uri: str, database: str, data_dir: Path) -> None:
        self._command = [sys.executable, "-m", "tests.spooling", uri, database, str(data_dir)]
        self.address = ("127.0.0.1", 0)
        self.start()

    def start(self) -> None:
        with (Path(self._command[-1]) / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        port = self._process.stdout.readline()
        assert port, (Path(self._command[-1]) / "log.txt").read_text()[-3000:]
        self.address = ("127.0.0.1", int(port))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def process(uri: str, database: str, data_dir: Path) -> Iterator[Process]:
    data_dir.mkdir(exist_ok=True)
    running = Process(uri, database, data_dir)
    try:
        yield running
    finally:
        running.kill()


def send_all(
    address: Callable[[], tuple[str, int]],
    numbers: Sequence[int],
    connections: int,
    answers: list[Answered],
) -> None:
    """Send every event until it is answered with anything but 503; `answers` grows meanwhile."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)

    def work(_: int) -> list[Answered]:
        sender, at = None, None
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                if sender is not None:
                    sender.close()
                return []
            while True:
                if sender is None or at != address():
                    if sender is not None:
                        sender.close()
                    at = address()
                    sender = Sender(at, timeout=20)
                started = time.monotonic()
                try:
                    status, _json = sender.post(event(number))
                except (OSError, HTTPException, ValueError):
                    time.sleep(0.05)
                    continue
                if status == 503:
                    time.sleep(0.05)
                    continue
                answers.append(Answered(number, status, time.monotonic() - started))
                break

    _in_threads(work, connections)


def send_at_rate(
    address: tuple[str, int], rate: float, seconds: float, connections: int = 32
) -> list[Answered]:
    """Send each event once, when it is due; a late start counts as waiting."""
    count = int(rate * seconds)
    numbers = iter(range(count))
    taking = threading.Lock()
    begin = time.monotonic() + 0.1

    def work(_: int) -> list[Answered]:
        answers: list[Answered] = []
        sender = Sender(address, timeout=20)
        try:
            while True:
                with taking:
                    number = next(numbers, None)
                if number is None:
                    return answers
                due = begin + number / rate
                time.sleep(max(0.0, due - time.monotonic()))
                status, _json = sender.post(event(number))
                answers.append(Answered(number, status, time.monotonic() - due))
        finally:
            sender.close()

    return _in_threads(work, connections)


def _in_threads(work: Callable[[int], list[Answered]], connections: int) -> list[Answered]:
    with ThreadPoolExecutor(connections) as pool:
        return [answer for answers in pool.map(work, range(connections)) for answer in answers]


def percentile(seconds: Sequence[float], share: float) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]
