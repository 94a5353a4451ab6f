"""A run of a job for tests that call the job themselves."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Run:
    """A `JobRun` that nobody ends, or a test: by `stop`, at the `stops_at`th time that it asks, or
    after `stop_after` reports. `facts` is what it reported."""

    fence: int = 0
    stops_at: int | None = None
    stop_after: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    facts: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    reports: int = 0

    def stopping(self) -> bool:
        self.asked += 1
        return (
            self.stop.is_set()
            or (self.stops_at is not None and self.asked >= self.stops_at)
            or (self.stop_after is not None and self.reports >= self.stop_after)
        )

    def progress(self, **facts: object) -> None:
        self.reports += 1
        self.facts |= facts
