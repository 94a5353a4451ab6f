"""Say how far a backfill is, how fast it goes, and when it will end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# A date further off than some years says nothing, and may be none that exists.
_LONGEST_WAIT = 1e9


@dataclass(slots=True)
class Progress:
    """How far a run is over all its subjects."""

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
