"""Schedule the jobs of the table in this process, so that none can stop another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from consumer.core.clock import utc_now
from jobs.scheduling.job import Job
from jobs.scheduling.runner import Runner

log = structlog.get_logger(__name__)

# A lease expires on the server's clock to the millisecond; asking right then would be too early.
_MARGIN = 0.02
# The end of each attempt says when the next one comes; this is for the case that it could not.
_SAFETY_NET = timedelta(hours=1)
# Beside the jobs of the table, and no job: it proves that runs are still being started.
_PULSE = "pulse"
_PULSE_EVERY = 2
# Seconds between the beginnings of jobs that are due together. All at once they keep a core busy
# for a tenth of a second, and most of the slowest deliveries beside the jobs came just then.
_APART = 0.1


class _NextAttempt(BaseTrigger):  # type: ignore[misc]
    """Fires at the time `at`, which a run that ends in no time sets before APScheduler asks."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        if self.at is not None and previous_fire_time is not None and self.at > previous_fire_time:
            return self.at
        return now + _SAFETY_NET


class Scheduler:
    """APScheduler over a table of jobs; each run decides when the next attempt comes.

    `clock` is the time of day that APScheduler itself goes by.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        runner: Runner | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._runner = runner or Runner()
        self._clock = clock
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            # A thread for each, so that a long run cannot keep another job waiting.
            executors={"default": ThreadPoolExecutor(max_workers=len(jobs) + 1)},
            # A run that is late or still going is not made up for: the next one covers it.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._pulse: float | None = None
        self._scheduler.add_job(
            self._beat,
            IntervalTrigger(seconds=_PULSE_EVERY, timezone="UTC"),
            id=_PULSE,
            next_run_time=clock(),
        )
        self._triggers = {job.name: _NextAttempt() for job in jobs}
        # Taken once each: from then on every job keeps its distance from those of like interval.
        self._shifts = {job.name: min(n * _APART, job.every / 2) for n, job in enumerate(jobs)}
        for job in jobs:
            self._scheduler.add_job(
                self._runner.attempt,
                self._triggers[job.name],
                args=(job,),
                id=job.name,
                name=job.name,
                # The first run comes with the start, not one interval later.
                next_run_time=clock(),
            )
        # Not from within the attempt: until APScheduler has seen its end it would skip the next.
        self._scheduler.add_listener(self._reschedule, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)

    @property
    def running(self) -> bool:
        return bool(self._scheduler.running)

    @property
    def silent_for(self) -> float | None:
        """Seconds since it last started a run, which it does every two at least; None before the
        first time."""
        return None if self._pulse is None else monotonic() - self._pulse

    def start(self) -> None:
        self._scheduler.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Ask runs under way to end, and wait for them up to `timeout` seconds; True if all did.

        Those that ended have released their leases; the lease of one that goes on expires.
        """
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        return self._runner.stop(timeout)

    def _beat(self) -> None:
        self._pulse = monotonic()

    def _reschedule(self, event: JobExecutionEvent) -> None:
        if event.job_id == _PULSE:
            return
        # None where the attempt itself broke down.
        seconds = self._jobs[event.job_id].every if event.retval is None else event.retval
        shift = self._shifts.pop(event.job_id, 0.0)
        self._schedule_next(event.job_id, seconds + _MARGIN + shift)

    def _schedule_next(self, name: str, seconds: float) -> None:
        at = self._clock() + timedelta(seconds=seconds)
        self._triggers[name].at = at
        try:
            self._scheduler.modify_job(name, next_run_time=at)
        except JobLookupError:
            # The scheduler was stopped meanwhile.
            log.debug("no next attempt", job=name)
