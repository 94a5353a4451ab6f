"""Run one job once: under its lease where it is exclusive, and harmless when it fails."""

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
from consumer.monitoring.job_runs import JobRuns, RunOutcome
from jobs.scheduling.current_run import CurrentRun, progress_thread
from jobs.scheduling.job import Job, JobFunction, JobRun, RunResult
from jobs.scheduling.lease_keeper import LeaseKeeper
from jobs.scheduling.run_log import RunLog

log = structlog.get_logger(__name__)

# Leases come back to the right process when MongoDB does: ask again that soon, in seconds.
_ASK_AGAIN = 5.0


class Runner:
    """Runs jobs in this process until `stop`. Without `leases` there can be no exclusive jobs;
    `away` as RunLog has it."""

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
        # Those that a stop did not wait for lose MongoDB: no news.
        self._run_log = RunLog(runs, metrics, now, lambda: self._left_behind or away())
        self._now = now
        self._stopping = threading.Event()
        self._left_behind = False
        self._changed = threading.Condition()
        self._under_way = 0

    def run(self, job: Job) -> RunResult | Later:
        """Run the job now, or say when it is worth asking again.

        Raises StoreUnavailable when the lease cannot be asked for; what the job raises is in
        the RunResult.
        """
        if self._stopping.is_set():
            return Later(job.every)
        if job.ready is not None and not job.ready():
            return Later(_ASK_AGAIN)
        keeper = None
        if job.exclusive:
            if self._leases is None:
                raise SetupError(f"job {job.name!r} is exclusive: give the runner leases")
            answer = self._leases.acquire(job.name)
            self._run_log.set_success_age(job, answer.success_age)
            if isinstance(answer.grant, Later):
                return answer.grant
            keeper = LeaseKeeper(self._leases, answer.grant, self._now)
        current = CurrentRun(
            run_id=uuid.uuid4().hex,
            job=job.name,
            instance=self._instance,
            every=job.every,
            lease_keeper=keeper,
            process_stops=self._stopping.is_set,
            now=self._now,
        )
        return self._execute(job, current)

    def attempt(self, job: Job) -> float:
        """Run the job if it may run here now; seconds until the next attempt. Raises nothing.

        `stop` waits for its end, with all that it logs.
        """
        with self._changed:
            self._under_way += 1
        try:
            return self._attempt(job)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def stop(self, timeout: float) -> bool:
        """Ask every attempt to end, and wait; True if all did. Nothing starts after this."""
        self._stopping.set()
        with self._changed:
            ended = self._changed.wait_for(lambda: not self._under_way, timeout)
        self._left_behind = self._left_behind or not ended
        return ended

    def _attempt(self, job: Job) -> float:
        began = self._now()
        try:
            result = self.run(job)
        except StoreUnavailable as error:
            self._run_log.warn("job must wait", job.name, error)
            self._run_log.count(job, "unavailable")
            return min(job.every, _ASK_AGAIN)
        except Exception as error:
            # Here it is this program's own fault, not the job's; the next attempt must still come.
            log.error("job not run", job=job.name, error=fault_of(error), place=place_of(error))  # noqa: TRY400
            self._run_log.count(job, "failed")
            return job.every
        if isinstance(result, Later):
            return min(job.every, result.seconds)
        return max(0.0, job.every - (self._now() - began))

    def _execute(self, job: Job, current: CurrentRun) -> RunResult:
        with progress_thread(current, lambda run: self._run_log.save(run.record("running"))):
            if current.lease_keeper is not None:
                self._run_log.open(current)
            result = execute(job, current, self._run_log.warn)
        if current.lost():
            result = RunResult("lost", result.result, result.error)
        elif result.outcome == "succeeded" and current.stop_seen:
            result = RunResult("stopped", result.result)
        if current.lease_keeper is not None:
            self._release(job, current.lease_keeper, result.outcome)
        self._run_log.close(job, current, result)
        return result

    def _release(self, job: Job, keeper: LeaseKeeper, outcome: RunOutcome) -> None:
        # A run that was cut short is for another process to go on with at once.
        due_after = job.every if outcome in ("succeeded", "failed") else None
        try:
            keeper.release(due_after, outcome == "succeeded")
        except StoreUnavailable as error:
            self._run_log.warn("lease not released: it expires", job.name, error)


def execute(
    job: Job, current: JobRun, warn: Callable[[str, str, StoreUnavailable], None]
) -> RunResult:
    """Call the job's function; whatever it raises becomes a result without payload values.

    `warn` is called with message, job and error where MongoDB was not there for it.
    """
    try:
        if _takes_a_run(job.run):
            result = cast(JobFunction, job.run)(current)
        else:
            cast(Callable[[], object], job.run)()
            result = {}
    except StoreUnavailable as error:
        warn("job failed", job.name, error)
        return RunResult("failed", error=str(error))
    except ConsumerError as error:
        log.warning("job failed", job=job.name, error=str(error))
        return RunResult("failed", error=str(error))
    except Exception as error:
        # The message may quote a payload, so only its kind and place are logged.
        log.error("job failed", job=job.name, error=fault_of(error), place=place_of(error))  # noqa: TRY400
        return RunResult("failed", error=fault_of(error))
    return RunResult("succeeded", result)


def _takes_a_run(function: Callable[..., object]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(parameter.default is parameter.empty for parameter in parameters)
