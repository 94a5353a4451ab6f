"""Keep points until Datadog has them, at most so many and never beyond their age."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import islice

from consumer.datadog.points import AHEAD, OLDEST, Point, Series


class Buffer:
    """Frozen points by series and second, oldest first; safe between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._points: dict[tuple[Series, int], float] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._points)

    def add(self, points: Iterable[Point]) -> int:
        """Keep points. The first value of a series and second stays. Beyond the limit the oldest
        go: their number is returned."""
        with self._lock:
            for point in points:
                self._points.setdefault((point.series, point.second), point.value)
            excess = max(0, len(self._points) - self._limit)
            for key in list(islice(self._points, excess)):
                del self._points[key]
        return excess

    def remove(self, points: Iterable[Point]) -> None:
        """Let go what is sent or given up."""
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
