"""Run one job once: under its lease where it is exclusive, and harmless when it fails.

Call what a job is to do; whatever it raises becomes an end without payload values.
"""

from __future__ import annotations

import inspect
import threading
import uuid
from collections.abc import Callable
from time import monotonic
from typing import cast

import structlog

from consumer.core.errors import ConsumerError, SetupError, StoreUnavailable, fault_of, place_of
from consumer.core.metrics import Metrics
from consumer.mongodb.leases import Later, Leases
from consumer.monitoring.job_runs import JobRuns, Outcome
from jobs.scheduling.current_run import CurrentRun, attended
from jobs.scheduling.job import Ended, Job, JobFunction, JobRun
from jobs.scheduling.lease_keeper import Hold
from jobs.scheduling.run_log import Books

log = structlog.get_logger(__name__)

# Leases come back to the right process when MongoDB does: ask again that soon, in seconds.
_ASK_AGAIN = 5.0


class Runner:
    """Runs jobs in this process until `stop`. Without `leases` there can be no exclusive jobs.
    `away`: whether MongoDB is, which the log has said for all jobs then."""

    def __init__(
        self,
        instance: str = "",
        *,
        leases: Leases | None = None,
        runs: JobRuns | None = None,
        metrics: Metrics | None = None,
        now: Callable[[], float] = monotonic,
        away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._instance = instance
        self._leases = leases
        self._books = Books(runs, metrics, now, away)
        self._now = now
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._going: set[str] = set()

    def run(self, job: Job) -> Ended | Later:
        """Run the job now, or say when it is worth asking again.

        Raises StoreUnavailable when the lease cannot be asked for; what the job raises is in
        `Ended`.
        """
        run_id = uuid.uuid4().hex
        with self._changed:
            self._going.add(run_id)
        try:
            return self._run(run_id, job)
        finally:
            with self._changed:
                self._going.discard(run_id)
                self._changed.notify_all()

    def attempt(self, job: Job) -> float:
        """Run the job if it may run here now; seconds until the next attempt. Raises nothing."""
        began = self._now()
        try:
            ended = self.run(job)
        except StoreUnavailable as error:
            self._books.warn("job must wait", job.name, error)
            self._books.count(job, "unavailable")
            return min(job.every, _ASK_AGAIN)
        except Exception as error:
            # Here it is this program's own fault, not the job's; the next attempt must still come.
            log.error("job not run", job=job.name, error=fault_of(error), place=place_of(error))  # noqa: TRY400
            self._books.count(job, "failed")
            return job.every
        if isinstance(ended, Later):
            return min(job.every, ended.seconds)
        return max(0.0, job.every - (self._now() - began))

    def stop(self, timeout: float) -> bool:
        """Ask every run to end, and wait; whether all did. Nothing starts after this."""
        self._stopping.set()
        with self._changed:
            return self._changed.wait_for(lambda: not self._going, timeout)

    def _run(self, run_id: str, job: Job) -> Ended | Later:
        if self._stopping.is_set():
            return Later(job.every)
        hold = None
        if job.exclusive:
            if self._leases is None:
                raise SetupError(f"job {job.name!r} is exclusive: give the runner leases")
            answer = self._leases.acquire(job.name)
            self._books.show_age(job, answer.success_age)
            if isinstance(answer.grant, Later):
                return answer.grant
            hold = Hold(self._leases, answer.grant, self._now)
        current = CurrentRun(
            run_id=run_id,
            job=job.name,
            instance=self._instance,
            every=job.every,
            hold=hold,
            process_stops=self._stopping.is_set,
            now=self._now,
        )
        return self._carry_out(job, current)

    def _carry_out(self, job: Job, current: CurrentRun) -> Ended:
        with attended(current, lambda run: self._books.save(run.record("running"))):
            if current.hold is not None:
                self._books.open(current)
            ended = called(job, current, self._books.warn)
        if current.lost():
            ended = Ended("lost", ended.result, ended.error)
        elif ended.outcome == "succeeded" and current.told:
            ended = Ended("stopped", ended.result)
        if current.hold is not None:
            self._let_go(job, current.hold, ended.outcome)
        self._books.close(job, current, ended)
        return ended

    def _let_go(self, job: Job, hold: Hold, outcome: Outcome) -> None:
        # A run that was cut short is for another process to go on with at once.
        due_after = job.every if outcome in ("succeeded", "failed") else None
        try:
            hold.let_go(due_after, outcome == "succeeded")
        except StoreUnavailable as error:
            self._books.warn("lease not released: it expires", job.name, error)


Warn = Callable[[str, str, StoreUnavailable], None]


def called(job: Job, current: JobRun, warn: Warn) -> Ended:
    """`warn` is told that MongoDB was not there for it."""
    try:
        if _takes_a_run(job.run):
            result = cast(JobFunction, job.run)(current)
        else:
            cast(Callable[[], object], job.run)()
            result = {}
    except StoreUnavailable as error:
        warn("job failed", job.name, error)
        return Ended("failed", error=str(error))
    except ConsumerError as error:
        log.warning("job failed", job=job.name, error=str(error))
        return Ended("failed", error=str(error))
    except Exception as error:
        # The message may quote a payload, so only its kind and place are told.
        log.error("job failed", job=job.name, error=fault_of(error), place=place_of(error))  # noqa: TRY400
        return Ended("failed", error=fault_of(error))
    return Ended("succeeded", result)


def _takes_a_run(function: Callable[..., object]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(parameter.default is parameter.empty for parameter in parameters)
