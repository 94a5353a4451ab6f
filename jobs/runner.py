"""Run one job once: under its lease where it is exclusive, and harmless when it fails."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from time import monotonic

import structlog

from consumer.errors import SetupError, StoreUnavailable, fault_of, place_of
from consumer.metrics import Metrics
from consumer.storage.job_runs import JobRuns, Outcome
from consumer.storage.leases import Later, Leases
from jobs.attendant import attended
from jobs.books import Books
from jobs.calling import called
from jobs.current import CurrentRun
from jobs.hold import Hold
from jobs.job import Ended, Job

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
