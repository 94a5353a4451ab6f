"""Fill most documents of a stamp the fast way: whole stretches of their index, one after another.

Where MongoDB refuses a document, the rest of its stretch stays behind, and so does what no stretch
holds; `jobs.backfill_leftovers` goes over that.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from consumer.storage.backfill_spans import Span
from consumer.storage.backfill_store import BackfillStore, Upgrade
from jobs.backfill_pass import Pass

# Without throttle: stretches that MongoDB works on at the same time. While one waits until a
# majority has it on disk, it works on another.
_AT_ONCE = 2


def sweep(work: Pass, plan: Upgrade, aside: Sequence[Any]) -> None:
    """Fill all stretches of the plan's stamp, but for the documents `aside`, given by `_id`.

    Raises StoreUnavailable.
    """
    stretches = _Stretches(work.parts.store, work.subject, plan.stamp)

    def fill() -> None:
        try:
            while not work.stopping():
                start = work.parts.timer()
                span = stretches.next(work.pace.size)
                if span is None:
                    return
                work.done(work.parts.store.fill_span(span, plan, aside))
                work.pace.rest(work.parts.timer() - start, work.stopping)
        finally:
            # Whatever ended this one, the others are to end with their stretch.
            stretches.end()

    at_once = 1 if work.pace.throttled else _AT_ONCE
    with ThreadPoolExecutor(at_once, "backfill") as pool:
        try:
            for filling in [pool.submit(fill) for _ in range(at_once)]:
                filling.result()
        finally:
            # Somebody may have pressed Ctrl-C.
            stretches.end()


class _Stretches:
    """Hands out one stretch after the other, each once, to several threads."""

    def __init__(self, store: BackfillStore, subject: str, stamp: int) -> None:
        self._store = store
        self._subject = subject
        self._stamp = stamp
        self._last: Span | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()

    def next(self, size: int) -> Span | None:
        """The next stretch of about so many documents; None when there is none or it shall end."""
        with self._lock:
            if self._over.is_set():
                return None
            self._last = self._store.next_span(self._subject, self._stamp, self._last, size)
            return self._last

    def end(self) -> None:
        self._over.set()
