"""Buffer points until Datadog has them, and cut them into requests within its limits."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from consumer.monitoring.datadog.points import AHEAD, OLDEST, Point, Series

Batch = tuple[tuple[Series, tuple[Point, ...]], ...]

# The limits are 512,000 bytes compressed and 5,242,880 before; below the smaller one before
# compression, both hold whatever the content.
_MAX_BYTES = 400_000
_TYPES = {"count": 1, "gauge": 3}


class Buffer:
    """Frozen points by series and second, oldest first; safe between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._points: dict[tuple[Series, int], float] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._points)

    def add(self, points: Iterable[Point]) -> int:
        """Buffer points. The first value of a series and second stays. Beyond the limit the oldest
        go: their number is returned."""
        with self._lock:
            for point in points:
                self._points.setdefault((point.series, point.second), point.value)
            excess = max(0, len(self._points) - self._limit)
            for key in list(islice(self._points, excess)):
                del self._points[key]
        return excess

    def remove(self, points: Iterable[Point]) -> None:
        """Remove points that are sent or given up."""
        with self._lock:
            for point in points:
                self._points.pop((point.series, point.second), None)

    def expire(self, now: int) -> tuple[int, int]:
        """Drop what Datadog refuses for its time; returns how many were too old, and how many too
        far ahead (a clock was set back)."""
        with self._lock:
            old = [key for key in self._points if key[1] < now - OLDEST]
            ahead = [key for key in self._points if key[1] > now + AHEAD]
            for key in (*old, *ahead):
                del self._points[key]
        return len(old), len(ahead)

    def points(self) -> list[Point]:
        """All points, oldest first; they stay."""
        with self._lock:
            return [
                Point(series, second, value) for (series, second), value in self._points.items()
            ]


def batches(points: Iterable[Point], max_bytes: int = _MAX_BYTES) -> Iterator[Batch]:
    """Requests of whole series, each with all its points."""
    grouped: dict[Series, list[Point]] = {}
    for point in points:
        grouped.setdefault(point.series, []).append(point)
    batch: list[tuple[Series, tuple[Point, ...]]] = []
    size = 0
    for series, members in grouped.items():
        entry = (series, tuple(members))
        # Two more for the separator between series.
        added = len(json.dumps(document(*entry))) + 2
        if batch and size + added > max_bytes:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(entry)
        size += added
    if batch:
        yield tuple(batch)


def halves(batch: Batch) -> tuple[Batch, Batch] | None:
    """Two smaller requests with the same points: the series, or the points of the only one; None
    for a single point."""
    middle = len(batch) // 2
    if middle:
        return batch[:middle], batch[middle:]
    series, points = batch[0]
    middle = len(points) // 2
    if not middle:
        return None
    return ((series, points[:middle]),), ((series, points[middle:]),)


def points_of(batch: Batch) -> list[Point]:
    return [point for _, points in batch for point in points]


def document(series: Series, points: Iterable[Point]) -> dict[str, Any]:
    """A series as `submit_metrics` sends it; the host stands in the resources."""
    found: dict[str, Any] = {
        "metric": series.name,
        "type": _TYPES[series.kind],
        "points": [{"timestamp": point.second, "value": point.value} for point in points],
        "resources": [{"name": series.host, "type": "host"}],
        "tags": list(series.tags),
    }
    if series.kind == "count":
        found["interval"] = series.interval
    if series.unit:
        found["unit"] = series.unit
    return found
