"""What one process does again and again beside its deliveries: begun together, ended together."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pymongo

from consumer.datadog.outlet import Outlet
from consumer.errors import StoreUnavailable
from jobs.heartbeat import Heartbeat
from jobs.note_refusals import NoteRefusals
from jobs.note_secrets import NoteSecrets
from jobs.record_history import RecordHistory
from jobs.report_datadog import ReportDatadog
from jobs.scheduler import Scheduler

# Seconds for the last report and for the last words to MongoDB, when the process stops.
_LAST_REPORT = 2.0
_LAST_WORDS = 1.0


@dataclass(frozen=True, slots=True)
class Periodic:
    """The scheduler with its jobs, the drain's own, and what is done once more at the end.

    The drain runs every second and while MongoDB is away: a record of its runs in MongoDB would
    cost more than it tells, and wait just then. So it has a scheduler without records.
    """

    scheduler: Scheduler
    drain: Scheduler
    heartbeat: Heartbeat
    secrets: NoteSecrets
    refusals: NoteRefusals
    history: RecordHistory
    report: ReportDatadog
    outlet: Outlet

    def start(self) -> None:
        self.drain.start()
        self.scheduler.start()

    def stop(self, patience: float) -> None:
        """End the runs under way within `patience` seconds, report and record once more, and leave
        the list of processes."""
        # Both at once: where MongoDB does not answer, each takes all its time.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda each: each.stop(patience), (self.scheduler, self.drain)))
        self.report.finish(_LAST_REPORT)
        self.outlet.close()
        # Without MongoDB the list forgets this process by itself.
        with contextlib.suppress(StoreUnavailable), pymongo.timeout(_LAST_WORDS):
            self.history()
            self.secrets()
            self.refusals()
            self.heartbeat.finish()
