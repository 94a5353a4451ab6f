"""Log the runs of this process: records in MongoDB for people, metrics, and warnings."""

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
from jobs.scheduling.job import Job, RunResult

log = structlog.get_logger(__name__)

# Seconds between two lines on the same trouble with the same job: MongoDB may be away for long.
_WARN_EVERY = 60.0


class RunLog:
    """The log of the runs of one process. Without `runs` nothing is recorded, without `metrics`
    nothing counted. A run does not fail because MongoDB cannot take its record.

    `away` answers if MongoDB is away and the log has said so for all jobs.
    """

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

    def close(self, job: Job, current: CurrentRun, result: RunResult) -> None:
        """Record and count the end of a run."""
        if _worth_recording(job, result):
            self.save(current.record(result.outcome, result.result, result.error))
        self.count(job, result.outcome)
        if self._metrics is not None:
            self._metrics.observe(JOB_DURATION, current.elapsed, job=job.name)
        if result.outcome == "succeeded":
            self._succeeded[job.name] = self._now()
            self.set_success_age(job, 0.0)
        elif not job.exclusive and job.name in self._succeeded:
            self.set_success_age(job, self._now() - self._succeeded[job.name])

    def count(self, job: Job, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.count(JOB_RUNS, job=job.name, outcome=outcome)

    def set_success_age(self, job: Job, age: float | None) -> None:
        """Set the gauge of how many seconds ago the job succeeded, here or elsewhere; None: never,
        and nothing is set."""
        if self._metrics is not None and age is not None:
            self._metrics.set(JOB_SUCCESS_AGE, age, job=job.name)

    def warn(self, message: str, job: str, error: StoreUnavailable) -> None:
        """Log a trouble; at debug while MongoDB is away for all, and once in a while otherwise."""
        if self._away():
            log.debug(message, job=job, error=str(error))
        elif self._warnings.allow(f"{message} {job}") is not None:
            log.warning(message, job=job, error=str(error))


def _worth_recording(job: Job, result: RunResult) -> bool:
    """False for a job of each process that had nothing to do: a write a second, and no news."""
    did_something = result.result is not None and any(result.result.values())
    return job.exclusive or result.outcome != "succeeded" or did_something
