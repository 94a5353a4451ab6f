"""Run one job once: under its lease where it is exclusive, recorded, and harmless when it fails."""

from __future__ import annotations

import inspect
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

import structlog

from config.ratelimit import RateLimit
from consumer.clock import utc_now
from consumer.errors import ConsumerError, SetupError, StoreUnavailable, place_of
from consumer.metrics import Metrics
from consumer.metrics.table import JOB_DURATION, JOB_RUNS, JOB_SUCCESS_AGE
from consumer.storage.job_runs import JobRuns, Outcome, RunRecord
from consumer.storage.leases import Later, Leases
from jobs.attendant import attended
from jobs.current import CurrentRun
from jobs.hold import Hold
from jobs.run import JobFunction

log = structlog.get_logger(__name__)

# Leases come back to the right process when MongoDB does: ask again that soon, in seconds.
_ASK_AGAIN = 5.0
# Seconds between two lines on the same trouble with the same job: MongoDB may be away for long.
_WARN_EVERY = 60.0


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


class Runner:
    """Runs jobs in this process until `stop`. Without `leases` there can be no exclusive jobs."""

    def __init__(
        self,
        instance: str = "",
        *,
        leases: Leases | None = None,
        runs: JobRuns | None = None,
        metrics: Metrics | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._instance = instance
        self._leases = leases
        self._runs = runs
        self._metrics = metrics
        self._now = now
        self._warnings = RateLimit(_WARN_EVERY, utc_now)
        self._stopping = threading.Event()
        self._succeeded: dict[str, float] = {}
        self._changed = threading.Condition()
        self._going: set[str] = set()

    def run(self, job: Job, heed_due: bool = True) -> Ended | Later:
        """Run the job now, or say when it is worth asking again.

        Raises StoreUnavailable when the lease cannot be asked for; what the job raises is in
        `Ended`. With `heed_due` False an exclusive job runs although another process ran it lately.
        """
        run_id = uuid.uuid4().hex
        with self._changed:
            self._going.add(run_id)
        try:
            return self._run(run_id, job, heed_due)
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
            self._warn("job must wait", job.name, error)
            self._count(job, "unavailable")
            return min(job.every, _ASK_AGAIN)
        except Exception as error:
            # Here it is this program's own fault, not the job's; the next attempt must still come.
            log.error("job not run", job=job.name, error=_fault(error), place=place_of(error))  # noqa: TRY400
            self._count(job, "failed")
            return job.every
        if isinstance(ended, Later):
            return min(job.every, ended.seconds)
        return max(0.0, job.every - (self._now() - began))

    def stop(self, timeout: float) -> bool:
        """Ask every run to end, and wait; whether all did. Nothing starts after this."""
        self._stopping.set()
        with self._changed:
            return self._changed.wait_for(lambda: not self._going, timeout)

    def _run(self, run_id: str, job: Job, heed_due: bool) -> Ended | Later:
        if self._stopping.is_set():
            return Later(job.every)
        hold = None
        if job.exclusive:
            if self._leases is None:
                raise SetupError(f"job {job.name!r} is exclusive: give the runner leases")
            answer = self._leases.acquire(job.name, heed_due)
            self._show_age(job, answer.success_age)
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
        with attended(current, lambda run: self._save(run.record("running"))):
            if current.hold is not None:
                # A killed process leaves this behind as the only trace of its run.
                self._begin(current)
            ended = _called(job, current)
        if current.lost():
            ended = Ended("lost", ended.result, ended.error)
        elif ended.outcome == "succeeded" and current.told:
            ended = Ended("stopped", ended.result)
        if current.hold is not None:
            _let_go(job, current.hold, ended.outcome)
        if _worth_keeping(job, ended):
            self._save(current.record(ended.outcome, ended.result, ended.error))
        self._count(job, ended.outcome)
        if self._metrics is not None:
            self._metrics.observe(JOB_DURATION, current.elapsed, job=job.name)
        if ended.outcome == "succeeded":
            self._succeeded[job.name] = self._now()
            self._show_age(job, 0.0)
        elif not job.exclusive and job.name in self._succeeded:
            self._show_age(job, self._now() - self._succeeded[job.name])
        return ended

    def _begin(self, current: CurrentRun) -> None:
        record = current.record("running")
        self._save(record)
        if self._runs is not None:
            try:
                self._runs.close_earlier(record)
            except StoreUnavailable as error:
                self._warn("earlier runs not closed", record.job, error)

    def _save(self, record: RunRecord) -> None:
        if self._runs is None:
            return
        try:
            self._runs.save(record)
        except StoreUnavailable as error:
            self._warn("run not recorded", record.job, error)
        except Exception as error:
            # A result or progress that BSON cannot hold must not end the run.
            log.error("run not recorded", job=record.job, error=_fault(error))  # noqa: TRY400

    def _warn(self, what: str, job: str, error: StoreUnavailable) -> None:
        if self._warnings.allow(f"{what} {job}") is not None:
            log.warning(what, job=job, error=str(error))

    def _count(self, job: Job, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.count(JOB_RUNS, job=job.name, outcome=outcome)

    def _show_age(self, job: Job, age: float | None) -> None:
        if self._metrics is not None and age is not None:
            self._metrics.set(JOB_SUCCESS_AGE, age, job=job.name)


def _called(job: Job, current: CurrentRun) -> Ended:
    try:
        if _takes_a_run(job.run):
            result = cast(JobFunction, job.run)(current)
        else:
            cast(Callable[[], object], job.run)()
            result = {}
    except ConsumerError as error:
        log.warning("job failed", job=job.name, error=str(error))
        return Ended("failed", error=str(error))
    except Exception as error:
        # The message may quote a payload, so only its kind and place are told.
        log.error("job failed", job=job.name, error=_fault(error), place=place_of(error))  # noqa: TRY400
        return Ended("failed", error=_fault(error))
    return Ended("succeeded", result)


def _worth_keeping(job: Job, ended: Ended) -> bool:
    """A chore of each process that had nothing to do would be a write a second, and no news."""
    told = ended.result is not None and any(ended.result.values())
    return job.exclusive or ended.outcome != "succeeded" or told


def _takes_a_run(function: Callable[..., object]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(parameter.default is parameter.empty for parameter in parameters)


def _let_go(job: Job, hold: Hold, outcome: Outcome) -> None:
    # A run that was cut short is for another process to go on with at once.
    due_after = job.every if outcome in ("succeeded", "failed") else None
    try:
        hold.let_go(due_after, outcome == "succeeded")
    except StoreUnavailable as error:
        log.warning("lease not released: it expires", job=job.name, error=str(error))


def _fault(error: Exception) -> str:
    return f"unexpected {type(error).__name__}: the log says where"
