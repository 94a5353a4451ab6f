"""Cut points into requests that keep Datadog's limits, and requests into halves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from consumer.datadog.points import Point, Series

Batch = tuple[tuple[Series, tuple[Point, ...]], ...]

# The limits are 512,000 bytes compressed and 5,242,880 before; below the smaller one before
# compression, both hold whatever the content.
_MAX_BYTES = 400_000
_TYPES = {"count": 1, "gauge": 3}


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
