"""Keep a backfill from slowing ingest by short batches and rest in between; tell its progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# A batch should hold MongoDB no longer than this, in seconds. Without throttle most of a short
# batch is waiting for its journal; one that takes much longer may be too late for its deadline.
_LONGEST, _LONGEST_UNTHROTTLED = 0.25, 1.0
_SMALLEST = 10
# Without throttle a batch may be so many times larger.
_BEYOND = 10
# And so many commands are on their way at a time: MongoDB gives each a core of its own.
_AT_ONCE = 2
# A rest is cut to pieces so short, that a stop need not wait for it.
_NAP = 0.25
# A date further off than some years says nothing, and may be none that exists.
_LONGEST_WAIT = 1e9


@dataclass(frozen=True, slots=True)
class PaceRules:
    """`batch`: documents at once at most; `pause`: least rest in seconds. Without `throttle` there
    is no rest, batches grow beyond, and two are filled at once."""

    batch: int = 500
    pause: float = 0.1
    throttle: bool = True


class Pace:
    """The size of the next batch, learned from how long the last one took."""

    def __init__(self, rules: PaceRules, sleep: Callable[[float], None] = time.sleep) -> None:
        self._rules = rules
        self._sleep = sleep
        self._longest = _LONGEST if rules.throttle else _LONGEST_UNTHROTTLED
        self.at_once = 1 if rules.throttle else _AT_ONCE
        self._most = rules.batch if rules.throttle else rules.batch * _BEYOND
        # The first batch shows how fast this MongoDB is; it should not be the slowest.
        self.size = max(1, self._most // 4)

    def rest(self, took: float, stopping: Callable[[], bool]) -> None:
        """Adapt to a batch that took so many seconds, and rest as long as it took or as the rules
        say: a backfill has MongoDB half the time at most."""
        if took > self._longest:
            self.size = max(min(_SMALLEST, self._rules.batch), self.size // 2)
        elif took < self._longest / 2:
            self.size = min(self._most, self.size * 2)
        if not self._rules.throttle:
            return
        left = max(took, self._rules.pause)
        while left > 0 and not stopping():
            self._sleep(min(left, _NAP))
            left -= _NAP


@dataclass(slots=True)
class Progress:
    """Progress of a run over all its subjects."""

    remaining: int
    started: float
    done: int = 0

    def facts(self, timer: float, now: datetime) -> dict[str, Any]:
        """Documents left, documents a second, and what that means for the end; None: unknown."""
        elapsed = timer - self.started
        rate = self.done / elapsed if elapsed > 0 else 0.0
        left = self.remaining / rate if rate else None
        return {
            "remaining": self.remaining,
            "rate": round(rate, 1),
            "seconds_left": None if left is None else round(left, 1),
            "estimated_end": None if left is None else _end(now, left),
        }


def _end(now: datetime, seconds: float) -> datetime:
    return (now + timedelta(seconds=min(seconds, _LONGEST_WAIT))).replace(microsecond=0)
