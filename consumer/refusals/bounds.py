"""How much of what was refused may be kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be kept in MongoDB, over all processes, and may wait here to be kept."""

    max_count: int
    max_bytes: int
    queue_count: int = 256
    queue_bytes: int = 16 * 1024 * 1024
