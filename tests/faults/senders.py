"""Send events over many connections and resend what was not answered, as CXone does."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException

from tests.faults.events import event
from tests.support.spool import Sender

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and seconds from when the event was due to be sent until it came."""

    number: int
    status: int
    seconds: float


def send_all(
    address: Address, numbers: Sequence[int], connections: int, answers: list[Answered]
) -> None:
    """Send every event until it is answered with anything but 503; `answers` grows meanwhile."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)

    def work(_: int) -> list[Answered]:
        sender = Sender(address, timeout=20)
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                sender.close()
                return []
            started = time.monotonic()
            while (status := _status(sender, number)) in (None, 503):
                time.sleep(0.05)
            assert status is not None
            answers.append(Answered(number, status, time.monotonic() - started))

    _in_threads(work, connections)


def send_at_rate(
    address: Address,
    rate: float,
    seconds: float,
    connections: int = 32,
    *,
    first: int = 0,
    fresh: bool = False,
    stop: threading.Event | None = None,
) -> list[Answered]:
    """Send events from number `first` on, each once and when it is due, for so many seconds or
    until `stop`; a late start counts as waiting. `fresh`: over a new connection each.

    Raises OSError or HTTPException for one that is not answered.
    """
    numbers = iter(range(int(rate * seconds)))
    taking = threading.Lock()
    begin = time.monotonic() + 0.1

    def work(_: int) -> list[Answered]:
        answers: list[Answered] = []
        sender = Sender(address, timeout=20)
        try:
            while True:
                with taking:
                    number = next(numbers, None)
                if number is None or (stop is not None and stop.is_set()):
                    return answers
                due = begin + number / rate
                time.sleep(max(0.0, due - time.monotonic()))
                status, _json = sender.post(event(first + number))
                answers.append(Answered(first + number, status, time.monotonic() - due))
                if fresh:
                    sender.close()
        finally:
            sender.close()

    return _in_threads(work, connections)


def _status(sender: Sender, number: int) -> int | None:
    """The status of the answer; None when none came."""
    try:
        return sender.post(event(number))[0]
    except (OSError, HTTPException, ValueError):
        return None


def _in_threads(work: Callable[[int], list[Answered]], connections: int) -> list[Answered]:
    with ThreadPoolExecutor(connections) as pool:
        return [answer for answers in pool.map(work, range(connections)) for answer in answers]


def percentile(seconds: Sequence[float], share: float) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]
