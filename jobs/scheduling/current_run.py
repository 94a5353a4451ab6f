"""The run that is going on: what it is told to do, and what it says of itself.

Stay beside a run in a thread of its own: renew its lease and save its progress.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

import structlog

from consumer.monitoring.job_runs import Outcome, RunRecord
from jobs.scheduling.lease_keeper import Hold

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
        hold: Hold | None,
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
        self.hold = hold
        # Whether the job was told to end; one that never asked came to its end by itself.
        self.told = False

    @property
    def fence(self) -> int:
        return self.hold.lease.fence if self.hold else 0

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._now() - self._started

    def lost(self) -> bool:
        """Whether this run has lost the right to go on."""
        return self.hold is not None and self.hold.lost()

    def stopping(self) -> bool:
        self.told = self.told or self._process_stops() or self.lost()
        return self.told

    def progress(self, **facts: object) -> None:
        with self._mutex:
            if len(self._facts.keys() | facts.keys()) > _MOST_FACTS:
                raise ValueError(f"job {self._job!r} reports more than {_MOST_FACTS} facts")
            self._facts.update(facts)
            self._unsaved = True

    def has_news(self) -> bool:
        """Whether there was progress since the last call."""
        with self._mutex:
            news, self._unsaved = self._unsaved, False
        return news

    def record(
        self,
        outcome: Outcome,
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


log = structlog.get_logger(__name__)

_SAVE_EVERY = 1.0


@contextmanager
def attended(run: CurrentRun, save: Callable[[CurrentRun], None]) -> Iterator[None]:
    """Renew and save while the block runs. `save` waits a bounded time and raises nothing."""
    done = threading.Event()
    thread = threading.Thread(
        target=_attend, args=(run, save, done), name="job attendant", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _attend(run: CurrentRun, save: Callable[[CurrentRun], None], done: threading.Event) -> None:
    hold, told = run.hold, False
    pause = min(_SAVE_EVERY, hold.patience) if hold else _SAVE_EVERY
    while not done.wait(pause):
        # The lease first: a record that comes late harms nobody.
        if hold is not None:
            hold.renew_when_due()
            if hold.lost() and not told:
                told = True
                log.warning("lease lost: the job is asked to end", job=hold.lease.name)
        if run.has_news():
            save(run)
