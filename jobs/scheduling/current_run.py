"""State of a run under way, and the thread beside it that renews its lease and saves progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

import structlog

from consumer.monitoring.job_runs import RunOutcome, RunRecord
from jobs.scheduling.lease_keeper import LeaseKeeper

log = structlog.get_logger(__name__)

_SAVE_EVERY = 1.0
# Progress is for people: more facts than this are a mistake, and would make the record large.
_MOST_FACTS = 50


class CurrentRun:
    """A JobRun (see jobs.scheduling.job) that can be turned into its record at any time."""

    def __init__(
        self,
        *,
        run_id: str,
        job: str,
        instance: str,
        every: float,
        lease_keeper: LeaseKeeper | None,
        process_stops: Callable[[], bool],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._id, self._job, self._instance, self._every = run_id, job, instance, every
        self._process_stops = process_stops
        self._now = now
        self._started = now()
        self._mutex = threading.Lock()
        self._facts: dict[str, Any] = {}
        self._unsaved = False
        self.lease_keeper = lease_keeper
        # Set once the job saw it; one that never asked came to its end by itself.
        self.stop_seen = False

    @property
    def fence(self) -> int:
        return self.lease_keeper.lease.fence if self.lease_keeper else 0

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._now() - self._started

    def lost(self) -> bool:
        """Say if this run has lost the right to go on."""
        return self.lease_keeper is not None and self.lease_keeper.lost()

    def stopping(self) -> bool:
        self.stop_seen = self.stop_seen or self._process_stops() or self.lost()
        return self.stop_seen

    def progress(self, **facts: object) -> None:
        with self._mutex:
            if len(self._facts.keys() | facts.keys()) > _MOST_FACTS:
                raise ValueError(f"job {self._job!r} reports more than {_MOST_FACTS} facts")
            self._facts.update(facts)
            self._unsaved = True

    def take_unsaved(self) -> bool:
        """Say if there was progress since the last call."""
        with self._mutex:
            unsaved, self._unsaved = self._unsaved, False
        return unsaved

    def record(
        self,
        outcome: RunOutcome,
        result: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> RunRecord:
        """The run as it is now."""
        with self._mutex:
            facts = dict(self._facts)
        return RunRecord(
            id=self._id,
            job=self._job,
            instance=self._instance,
            fence=self.fence,
            every=self._every,
            elapsed=self.elapsed,
            outcome=outcome,
            progress=facts,
            result=result,
            error=error,
        )


@contextmanager
def progress_thread(run: CurrentRun, save: Callable[[CurrentRun], None]) -> Iterator[None]:
    """Renew and save while the block runs. `save` waits a bounded time and raises nothing."""
    done = threading.Event()
    thread = threading.Thread(
        target=_renew_and_save, args=(run, save, done), name="job progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew_and_save(
    run: CurrentRun, save: Callable[[CurrentRun], None], done: threading.Event
) -> None:
    keeper, logged = run.lease_keeper, False
    pause = min(_SAVE_EVERY, keeper.margin) if keeper else _SAVE_EVERY
    while not done.wait(pause):
        # The lease first: a record that comes late harms nobody.
        if keeper is not None:
            keeper.renew_when_due()
            if keeper.lost() and not logged:
                logged = True
                log.warning("lease lost: the job is asked to end", job=keeper.lease.name)
        if run.take_unsaved():
            save(run)
