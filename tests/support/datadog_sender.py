"""A sender on a fake intake, with a time of its own, for tests of what reaches Datadog."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.monitoring.datadog.buffer import Buffer
from consumer.monitoring.datadog.intake import Account, Intake
from consumer.monitoring.datadog.points import Common, Reading, freeze
from consumer.monitoring.datadog.retry import Timing
from consumer.monitoring.datadog.sender import Sender
from tests.support.datadog_intake import KEY, FakeIntake

Db = Database[dict[str, Any]]
COMMON = Common(tags=("env:test", "service:cxone-consumer"), host="machine", interval=60)


@dataclass
class Time:
    """A monotonic clock that sleeping moves; `slept` is every wait in whole."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Bench:
    """A sender on a fake intake, with its parts."""

    intake: FakeIntake
    sender: Sender
    metrics: Metrics
    time: Time

    def keep(self, *names: str, second: int | None = None, value: float = 1.0) -> None:
        at = int(time.time()) if second is None else second
        readings = [Reading(name, "gauge", value) for name in names]
        self.sender.add(freeze(readings, COMMON, at)[0])

    def flush(self, seconds: float = 48.0, stopping: Callable[[], bool] = lambda: False) -> int:
        return self.sender.flush(stopping, seconds).sent

    def counted(self, name: str) -> dict[str, float]:
        return {
            next(iter(value.tags.values()), ""): value.value
            for value in self.metrics.snapshot()
            if value.metric.name == f"cxone.dataaction.datadog.{name}"
        }

    @property
    def arrived(self) -> set[str]:
        return {name for name, _, _ in self.intake.accepted}


class bench_on:  # noqa: N801
    """The parts as the runtime wires them, with a time of their own."""

    def __init__(self, fake: FakeIntake, timeout: float = 5.0, buffer: int = 1000) -> None:
        ticks, metrics = Time(), Metrics()
        self._channel = Intake(Account(fake.url, KEY, timeout), utc_now)
        timing = Timing(now=ticks.now, sleep=ticks.sleep, jitter=lambda: 1.0)
        sender = Sender(
            channel=self._channel,
            buffer=Buffer(buffer),
            metrics=metrics,
            clock=utc_now,
            timing=timing,
        )
        self._bench = Bench(fake, sender, metrics, ticks)

    def __enter__(self) -> Bench:
        return self._bench

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def bodies(fake: FakeIntake) -> list[Any]:
    return [captured.body for captured in fake.requests]
