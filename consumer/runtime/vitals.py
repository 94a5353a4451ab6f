"""Judge whether the running service may be relied on, for whoever started it and watches it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from consumer.http.health import HealthCheck, is_ready

# Each part gives a sign of life every two seconds.
_SILENCE = 10.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """The signs of life of one process.

    `silences` give by part how many seconds ago it last moved; None before the first time. A part
    that has not moved for `silence` seconds is stuck.
    """

    url: str
    stopping: threading.Event
    checks: Mapping[str, HealthCheck]
    stores: tuple[str, ...]
    silences: Mapping[str, Callable[[], float | None]]
    silence: float = _SILENCE

    def ready(self) -> bool:
        """True when every part moves and the first delivery could be kept, as /readyz judges."""
        moving = all(silence() is not None for silence in self.silences.values())
        return moving and is_ready(self.checks, self.stores)

    def stuck(self) -> str | None:
        """The first part that has not moved for too long, in words; None while all do."""
        for part, silence in self.silences.items():
            seconds = silence()
            if seconds is None:
                return f"{part} has not started"
            if seconds > self.silence:
                return f"{part} has not moved for {seconds:.0f} s"
        return None

    def summary(self) -> str:
        """One line for an operator: where it listens, and how what keeps deliveries is."""
        states = (f"{name}: {self.checks[name]().detail}" for name in self.stores)
        return f"{self.url}; {'; '.join(states)}"
