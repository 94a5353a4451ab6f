"""Let one of many like events through in an interval, and count the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from consumer.core.clock import utc_now
from consumer.core.errors import place_of

_MAX_KEYS = 1000
# Keys may come from outside: those beyond the bound share one slot.
_REST = "\0rest"
# Seconds between two lines about the same fault.
_FAULT_EVERY = 60.0


class RateLimit:
    """At most one of a key in `interval` seconds; safe between threads, bounded in keys."""

    def __init__(
        self, interval: float, clock: Callable[[], datetime], max_keys: int = _MAX_KEYS
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._max_keys = max_keys
        self._seen: dict[str, tuple[datetime, int]] = {}
        self._lock = threading.Lock()

    def allow(self, key: str) -> int | None:
        """None: not now. Otherwise go on; the number is how many were stopped since the last."""
        now = self._clock()
        with self._lock:
            if key not in self._seen and len(self._seen) >= self._max_keys:
                self._make_room(now)
                if len(self._seen) >= self._max_keys:
                    key = _REST
            last, suppressed = self._seen.get(key, (None, 0))
            if last is not None and self._is_recent(last, now):
                self._seen[key] = (last, suppressed + 1)
                return None
            self._seen[key] = (now, 0)
            return suppressed

    def _make_room(self, now: datetime) -> None:
        """Forget what is over, at most once in an interval while it is full."""
        rest = self._seen.get(_REST)
        if rest is None or not self._is_recent(rest[0], now):
            self._seen = {
                key: (last, suppressed)
                for key, (last, suppressed) in self._seen.items()
                if key == _REST or self._is_recent(last, now)
            }

    def _is_recent(self, last: datetime, now: datetime) -> bool:
        # A clock that was set back must not silence anything for the time it lost.
        return 0 <= (now - last).total_seconds() < self._interval


class FaultLog:
    """Log faults of the program, the same one at most once a minute: whoever found it can repeat
    it. A line has the kind and the place of an error, never its text, which may quote a payload."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._limit = RateLimit(_FAULT_EVERY, utc_now)

    def add(self, event: str, error: Exception, **facts: object) -> None:
        kind, place = type(error).__name__, place_of(error)
        suppressed = self._limit.allow(f"{kind} {place}")
        if suppressed is not None:
            self._log.error(event, **facts, error=kind, place=place, suppressed=suppressed)
