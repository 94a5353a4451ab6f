"""Types of a job: its row in the table, its view of the run under way, and the run's result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from consumer.monitoring.job_runs import RunOutcome


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the table of jobs: a function and its interval.

    `every` is in seconds, counted from the start of each run.

    `exclusive`: in one process at a time of all that share the database, and once in `every` there;
    otherwise in each process. A function without required parameters is a chore without a
    result. `ready`: it is not run before this is true.
    """

    name: str
    every: float
    run: JobFunction | Callable[[], object]
    exclusive: bool = False
    ready: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of a run that took place; `error` is free of payload values."""

    outcome: RunOutcome
    result: Mapping[str, Any] | None = None
    error: str | None = None


class JobRun(Protocol):
    """One run of one job, as the job sees it."""

    @property
    def fence(self) -> int:
        """The fencing token of the lease; 0 for a job that every process runs."""

    def stopping(self) -> bool:
        """Say if the process stops or the lease is lost: end soon. Cheap to ask often."""

    def progress(self, **facts: object) -> None:
        """Report how far it is, for `job_runs` and `status`; later facts join earlier ones.
        Cheap to call often: it is written now and then, not at each call."""


# What it returns is its result, kept in `job_runs`: small, and storable as BSON.
JobFunction = Callable[[JobRun], dict[str, Any]]
