"""Stay beside a run in a thread of its own: renew its lease and save its progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from jobs.current import CurrentRun

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
