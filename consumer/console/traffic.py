"""Draw what came in over the last hours, by how it ended, and how long the answers took."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from consumer.console.charts import Chart, Series, draw
from consumer.core.clock import floor
from consumer.monitoring.ingest_history import MINUTE, QUARTER, IngestHistory
from consumer.monitoring.outcomes import Slot

# Outcomes from the bottom of the picture up, with what they are called and their colours.
_OUTCOMES = (
    ("processed", "processed", "c1"),
    ("duplicate", "duplicate", "c7"),
    ("spooled", "spooled", "c2"),
    ("held", "held", "c4"),
    ("discarded", "discarded as unwanted", "c8"),
    ("rejected", "rejected", "c6"),
    ("refused", "signature refused", "c3"),
    ("too_large", "too large", "c5"),
    ("unavailable", "answered 503", "c0"),
)
SPANS = {"1h": timedelta(hours=1), "6h": timedelta(hours=6), "24h": timedelta(hours=24),
         "7d": timedelta(days=7)}  # fmt: skip
USUAL_SPAN = "6h"
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
# A picture of a week need not be drawn anew every five seconds: every thirty.
_MOMENTS = 20_000
_SHARES = ((0.5, "median", "c0"), (0.99, "99 %", "c2"))


@dataclass(frozen=True, slots=True)
class Traffic:
    """`rate` is deliveries a minute since the first slot began, `change` that against the same time
    of last week (0.1: a tenth more; None: nothing is known of it), `p99` in seconds; charts are
    None where nothing came."""

    span: str
    deliveries: int
    rate: float
    change: float | None
    p99: float | None
    ingest: Chart | None
    latency: Chart | None


class TrafficBoard:
    """Reads and draws a span once for all who look at it, again when it would look different."""

    def __init__(self, history: IngestHistory) -> None:
        self._history = history
        self._drawing = threading.Lock()
        self._drawn: dict[str, tuple[datetime, Traffic]] = {}

    def of(self, span: str, now: datetime) -> Traffic:
        """The traffic of a span of SPANS up to now, or a little before; raises StoreUnavailable."""
        with self._drawing:
            at, found = self._drawn.get(span, (now, None))
            if found is None or not timedelta(0) <= now - at < SPANS[span] / _MOMENTS:
                at, found = now, traffic(self._history, span, now)
                self._drawn[span] = at, found
            return found


def traffic(history: IngestHistory, span: str, now: datetime) -> Traffic:
    """The traffic of a span of SPANS up to now; raises StoreUnavailable."""
    step, slots = history.last(SPANS[span], now)
    count = sum(slot.count for slot in slots)
    # The first slot is whole, and so begins up to a step before the span does.
    rate = count / ((now - slots[0].at) / MINUTE)
    before = _rate_last_week(history, slots[0].at, now)
    return Traffic(
        span=span,
        deliveries=count,
        rate=rate,
        change=rate / before - 1 if before else None,
        p99=_over_all(slots, 0.99),
        ingest=_ingest(slots, step) if count else None,
        latency=_latency(slots) if count else None,
    )


def _rate_last_week(history: IngestHistory, start: datetime, now: datetime) -> float | None:
    """Deliveries a minute a week before, in whole quarters; None for more than is kept."""
    first, end = floor(start - _WEEK, QUARTER), floor(now - _WEEK, QUARTER)
    if end - first > _DAY + QUARTER or first >= end:
        return None
    slots = history.read(first, end, QUARTER)
    return sum(slot.count for slot in slots) / ((end - first) / MINUTE)


def _ingest(slots: Sequence[Slot], step: timedelta) -> Chart:
    seen = {each.outcome for slot in slots for each in slot.outcomes}
    series = [
        Series(name, colour, [_count(slot, outcome) for slot in slots])
        for outcome, name, colour in _OUTCOMES
        if outcome in seen
    ]
    minutes = int(step / timedelta(minutes=1))
    many, word = (minutes, "min") if minutes < 60 else (minutes // 60, "h")
    unit = f"per {word}" if many == 1 else f"per {many} {word}"
    title = f"Deliveries {unit}, by outcome"
    return draw(title, unit, _labels(slots), series, total=lambda values: f"{_sum(values):,.0f}")


def _latency(slots: Sequence[Slot]) -> Chart:
    series = [
        Series(name, colour, [_milliseconds(slot.percentile(share)) for slot in slots])
        for share, name, colour in _SHARES
    ]
    title = "Time to the answer in milliseconds, median and 99th percentile"
    return draw(title, "ms", _labels(slots), series, kind="lines", width=400, shown=_brief)


def _over_all(slots: Sequence[Slot], share: float) -> float | None:
    ended = tuple(each for slot in slots for each in slot.outcomes)
    return Slot(slots[0].at, ended).percentile(share) if ended else None


def _count(slot: Slot, outcome: str) -> int:
    return sum(each.count for each in slot.outcomes if each.outcome == outcome)


def _labels(slots: Sequence[Slot]) -> list[str]:
    # No two alike: where the first of a day or week is written, its twin at the end would be too.
    long = slots[-1].at - slots[0].at
    form = "%H:%M" if long < _DAY else "%a %H:%M" if long < 7 * _DAY else "%a %d %H:%M"
    return [slot.at.strftime(form) for slot in slots]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _brief(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _sum(values: Sequence[float | None]) -> float:
    return sum(value or 0 for value in values)
