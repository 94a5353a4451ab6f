"""Run the periodic jobs of the table in this process, so that none can stop another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One row: what runs how often. `every` is in seconds, counted from the start of each run."""

    name: str
    every: float
    run: Callable[[], None]


class Scheduler:
    """APScheduler over a table of jobs; a failed run is logged and the next one comes."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(max_workers=4)},
            # A run that is late or still going is not made up for: the next one covers it.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for job in jobs:
            self._scheduler.add_job(
                _guarded(job),
                "interval",
                seconds=job.every,
                id=job.name,
                name=job.name,
                # The first run comes with the start, not one interval later.
                next_run_time=datetime.now(timezone.utc),
            )

    @property
    def running(self) -> bool:
        return bool(self._scheduler.running)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """End without waiting for runs under way: each is safe to be cut off."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def _guarded(job: Job) -> Callable[[], None]:
    def run() -> None:
        try:
            job.run()
        except Exception:
            log.exception("job failed", job=job.name)

    return run
