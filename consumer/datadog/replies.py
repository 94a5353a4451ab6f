"""What an answer of Datadog means for the points that were sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Literal

Meaning = Literal["accepted", "busy", "too_large", "bad", "unauthorised", "refused", "not_sent"]

# An hour-long Retry-After would cost every point in the buffer.
MAX_WAIT = 300.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of one request. `status` is None without an answer; `wait` the seconds the server
    asked for; `errors` how many faults an accepted request was told; `fault` the kind of failure,
    fit for a log."""

    meaning: Meaning
    status: int | None = None
    wait: float | None = None
    errors: int = 0
    fault: str = ""

    @property
    def text(self) -> str:
        return f"status {self.status}" if self.status is not None else self.fault


def meaning_of(status: int) -> Meaning:
    """`busy` alone is tried again at once; `refused` waits for the next report."""
    if 200 <= status < 300:
        return "accepted"
    if status in (408, 429) or status >= 500:
        return "busy"
    known: dict[int, Meaning] = {
        400: "bad",
        401: "unauthorised",
        403: "unauthorised",
        413: "too_large",
    }
    return known.get(status, "refused")


def wait_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait by `X-RateLimit-Reset` (seconds until the reset) or `Retry-After` (seconds
    or an HTTP date), between 0 and MAX_WAIT; None where neither can be read."""
    lower = {name.lower(): value for name, value in headers.items()}
    for name in ("x-ratelimit-reset", "retry-after"):
        seconds = _seconds(lower.get(name, "").strip(), now)
        if seconds is not None:
            return min(max(seconds, 0.0), MAX_WAIT)
    return None


def _seconds(text: str, now: datetime) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return (date - now).total_seconds()
