"""Keep what is known of runs: the records for people, and the figures of this process."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import structlog

from consumer.core.clock import utc_now
from consumer.core.errors import StoreUnavailable, fault_of
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import JOB_DURATION, JOB_RUNS, JOB_SUCCESS_AGE
from consumer.core.ratelimit import RateLimit
from consumer.monitoring.job_runs import JobRuns, RunRecord
from jobs.scheduling.current_run import CurrentRun
from jobs.scheduling.job import Ended, Job

log = structlog.get_logger(__name__)

# Seconds between two lines on the same trouble with the same job: MongoDB may be away for long.
_WARN_EVERY = 60.0


class Books:
    """Of the runs of one process. Without `runs` nothing is recorded, without `metrics` nothing
    counted. A run does not fail because MongoDB cannot take its record. `away`: whether the log
    has said for all jobs that MongoDB is away."""

    def __init__(
        self,
        runs: JobRuns | None = None,
        metrics: Metrics | None = None,
        now: Callable[[], float] = monotonic,
        away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._runs = runs
        self._away = away
        self._metrics = metrics
        self._now = now
        self._warnings = RateLimit(_WARN_EVERY, utc_now)
        self._succeeded: dict[str, float] = {}

    def open(self, current: CurrentRun) -> None:
        """Record that a run begins: the only trace of it, where its process is killed."""
        record = current.record("running")
        self.save(record)
        if self._runs is not None:
            try:
                self._runs.close_earlier(record)
            except StoreUnavailable as error:
                self.warn("earlier runs not closed", record.job, error)

    def save(self, record: RunRecord) -> None:
        """Record a run as it is now."""
        if self._runs is None:
            return
        try:
            self._runs.save(record)
        except StoreUnavailable as error:
            self.warn("run not recorded", record.job, error)
        except Exception as error:
            # A result or progress that BSON cannot hold must not end the run.
            log.error("run not recorded", job=record.job, error=fault_of(error))  # noqa: TRY400

    def close(self, job: Job, current: CurrentRun, ended: Ended) -> None:
        """Record and count how a run ended."""
        if _worth_keeping(job, ended):
            self.save(current.record(ended.outcome, ended.result, ended.error))
        self.count(job, ended.outcome)
        if self._metrics is not None:
            self._metrics.observe(JOB_DURATION, current.elapsed, job=job.name)
        if ended.outcome == "succeeded":
            self._succeeded[job.name] = self._now()
            self.show_age(job, 0.0)
        elif not job.exclusive and job.name in self._succeeded:
            self.show_age(job, self._now() - self._succeeded[job.name])

    def count(self, job: Job, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.count(JOB_RUNS, job=job.name, outcome=outcome)

    def show_age(self, job: Job, age: float | None) -> None:
        """Show how many seconds ago the job succeeded, here or elsewhere; None: never."""
        if self._metrics is not None and age is not None:
            self._metrics.set(JOB_SUCCESS_AGE, age, job=job.name)

    def warn(self, what: str, job: str, error: StoreUnavailable) -> None:
        """Log a trouble, unless it was only just logged or is that of all."""
        if self._away():
            log.debug(what, job=job, error=str(error))
        elif self._warnings.allow(f"{what} {job}") is not None:
            log.warning(what, job=job, error=str(error))


def _worth_keeping(job: Job, ended: Ended) -> bool:
    """A chore of each process that had nothing to do would be a write a second, and no news."""
    told = ended.result is not None and any(ended.result.values())
    return job.exclusive or ended.outcome != "succeeded" or told
