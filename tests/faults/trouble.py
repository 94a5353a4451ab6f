"""Take MongoDB away under load, and see that every delivery is answered in time and none lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from consumer.spool.survey import directory_in, survey
from tests.faults.events import verify
from tests.faults.process import process
from tests.faults.senders import Answered, percentile, send_at_rate


class Trouble:
    """Takes MongoDB away again and again, and tells how long the spool then took to drain."""

    def __init__(
        self, away: Callable[[], None], back: Callable[[], object], down: float, times: int
    ) -> None:
        self.drained: list[float] = []
        self.down = down
        self._away, self._back, self._times = away, back, times

    def duration(self) -> float:
        """Seconds that all of it may take."""
        return self._times * (1 + 1.8 * self.down) + 1

    def run(self, data_dir: Path) -> None:
        spool = directory_in(data_dir)
        for _ in range(self._times):
            time.sleep(1)
            self._away()
            time.sleep(self.down)
            self._back()
            back = time.monotonic()
            while survey(spool).depth and time.monotonic() - back < 2 * self.down:
                time.sleep(0.05)
            self.drained.append(time.monotonic() - back)


@dataclass(frozen=True, slots=True)
class Outlasted:
    """The answers with the p99 of their seconds, and how many deliveries the spool handed to
    MongoDB, by how they ended."""

    answers: list[Answered]
    drained: Counter[str]
    p99: float

    @property
    def spooled(self) -> int:
        return sum(answer.status == 202 for answer in self.answers)


def outlast(uri: str, data_dir: Path, trouble: Trouble, rate: float) -> Outlasted:
    """Send at the rate through all the trouble; every event is answered 2xx and stored once."""
    with process(uri, "outages", data_dir) as service, ThreadPoolExecutor(1) as pool:
        # Warm: what is measured is an outage, not a start.
        warm = send_at_rate(service.address, rate=20, seconds=1)
        sending = pool.submit(
            send_at_rate, service.address, rate, trouble.duration(), first=len(warm)
        )
        # In this thread: a mongod that a thread started ends with it.
        trouble.run(data_dir)
        answers = sending.result()
        spooled = sum(answer.status == 202 for answer in (*warm, *answers))
        waited = time.monotonic()
        # The line that tells of a drain is written after the spool is empty.
        while time.monotonic() - waited < 60 and drained_by(service.lines()).total() < spooled:
            time.sleep(0.1)
        lines = service.lines()
    seconds = [answer.seconds for answer in answers]
    found = Outlasted([*warm, *answers], drained_by(lines), percentile(seconds, 0.99))
    _show(found, seconds, trouble, lines)
    assert {answer.status for answer in found.answers} == {200, 202}
    with closing(MongoClient[dict[str, Any]](uri, tz_aware=True)) as client:
        verify(client["outages"], uri, [answer.number for answer in found.answers])
    return found


def drained_by(lines: list[dict[str, Any]]) -> Counter[str]:
    ended: Counter[str] = Counter()
    for line in lines:
        if line["event"] == "spool drained":
            ended.update({name: line.get(name, 0) for name in ("processed", "duplicate")})
    return ended


def _show(
    found: Outlasted, seconds: list[float], trouble: Trouble, lines: list[dict[str, Any]]
) -> None:
    statuses = Counter(answer.status for answer in found.answers)
    warnings = sum(line["level"] != "info" for line in lines)
    print(
        f"{len(found.answers)} deliveries, answers {dict(statuses)};"
        f" p50 {1000 * percentile(seconds, 0.5):.0f} ms,"
        f" p99 {1000 * found.p99:.0f} ms, longest {1000 * max(seconds):.0f} ms;"
        f" drained {dict(found.drained)} in {[round(each, 1) for each in trouble.drained]} s;"
        f" {warnings} warnings"
    )
