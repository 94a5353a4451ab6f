"""What the ways of filling share during one pass over the documents of a subject.

Bring the documents of one subject up to its head, stamp by stamp.

Fill most documents of a stamp the fast way: whole stretches of their index, one after another.

Where MongoDB refuses a document, the rest of its stretch stays behind, and so does what no stretch
holds; `jobs.backfill.run` goes over that.

Fill documents of a stamp one `_id` after another, those too that refuse their filling.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consumer.schemas.check import CompiledSchema
from consumer.schemas.defaults import newer_than
from consumer.schemas.provenance import leaving
from jobs.backfill.failures import Causes, MigrationFailures
from jobs.backfill.pace import Pace
from jobs.backfill.spans import Span
from jobs.backfill.store import BackfillStore, Upgrade, Upgraded, spare, upgrade


@dataclass(frozen=True, slots=True)
class Parts:
    """What a backfill works with; `timer` counts seconds, `sleep` waits them."""

    store: BackfillStore
    failures: MigrationFailures
    clock: Callable[[], datetime]
    timer: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Tally:
    """Counts of what became of a subject's documents; `unfilled` of them were stamped without all
    of what they lack, `left` keep what was filled in of retired fields."""

    documents: int = 0
    unfilled: int = 0
    failed: int = 0
    left: int = 0


@dataclass(slots=True)
class Pass:
    """One pass: whose documents, how fast, when to end, and how far it is."""

    subject: str
    parts: Parts
    pace: Pace
    stopping: Callable[[], bool]
    told: Callable[[Upgraded], None]
    tally: Tally = field(default_factory=Tally)
    causes: Causes = field(default_factory=Causes)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, batch: Upgraded) -> None:
        """Count what a batch did, and tell it; several threads may."""
        with self._lock:
            self.tally.documents += batch.documents
            self.tally.unfilled += batch.unfilled
            self.tally.failed += len(batch.refused)
            self.tally.left += batch.left
            self.causes.add(batch.refused)
            self.told(batch)


def fill_subject(work: Pass, schema: CompiledSchema) -> bool:
    """Go once through the documents behind `schema`, the oldest stamp first; whether it came to
    the end.

    Each batch stands on its own and each document carries its own stamp, so the pass may end
    anywhere, and others may make the same pass at the same time. Raises StoreUnavailable.
    """
    version = schema.version
    if version is None:
        return False
    aside = work.parts.failures.named(work.subject)
    stamp = -1
    while not work.stopping():
        found = work.parts.store.next_stamp(work.subject, stamp, version.due)
        if found is None:
            return True
        stamp = found
        gone = leaving(version, schema.defaults, stamp)
        plan = upgrade(newer_than(schema, stamp), stamp, version.number, gone)
        # First what is simple, then what is left.
        if plan.pipeline is not None:
            sweep(work, plan, aside)
        fill_leftovers(work, plan)
    return False


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


# How many `_id`s are read at a time: each time MongoDB passes again over the index entries of what
# was filled within the last minutes, which it keeps for older readers.
_STRETCH = 10_000


def fill_leftovers(work: Pass, plan: Upgrade) -> None:
    """Fill all documents of the plan's stamp; raises StoreUnavailable."""
    # Those that stay behind keep their place at the beginning.
    staying = 0
    while not work.stopping():
        ids = work.parts.store.ids(work.subject, plan.stamp, staying, _STRETCH)
        if not ids:
            return
        while ids and not work.stopping():
            start = work.parts.timer()
            batch, ids = ids[: work.pace.size], ids[work.pace.size :]
            upgraded = spare(work.parts.store, work.parts.store.apply(batch, plan), plan)
            work.done(upgraded)
            staying += len(upgraded.refused)
            work.pace.rest(work.parts.timer() - start, work.stopping)
