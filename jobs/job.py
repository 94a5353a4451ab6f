"""What a job is, and how one run of it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consumer.storage.job_runs import Outcome
from jobs.run import JobFunction


@dataclass(frozen=True, slots=True)
class Job:
    """One row: what runs how often. `every` is in seconds, counted from the start of each run.

    `exclusive`: in one process at a time of all that share the database, and once in `every` there;
    otherwise in each process. A function without required parameters is a chore without a
    result.
    """

    name: str
    every: float
    run: JobFunction | Callable[[], object]
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that took place; `error` is free of payload values."""

    outcome: Outcome
    result: Mapping[str, Any] | None = None
    error: str | None = None
