"""Bring the documents of one subject up to its head, stamp by stamp: usual ones by stretches of the
index, then what is left in batches of `_id`s."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from consumer.mongodb.client import Document
from consumer.schemas.check import CompiledSchema
from consumer.schemas.defaults import newer_than
from consumer.schemas.provenance import leaving
from jobs.backfill.failures import Causes, MigrationFailures
from jobs.backfill.pace import Pace
from jobs.backfill.store import BackfillStore, Upgrade, Upgraded, retry_refused, upgrade
from jobs.backfill.updates import Usual

# How many `_id`s are read at a time: each time MongoDB passes again over the index entries of what
# was filled within the last minutes, which it keeps for older readers: 0.12 ms for a thousand.
_PAGE = 50_000


@dataclass(frozen=True, slots=True)
class BackfillParts:
    """Stores and clocks of a backfill; `timer` counts seconds, `sleep` waits them."""

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
    parts: BackfillParts
    pace: Pace
    stopping: Callable[[], bool]
    report: Callable[[Upgraded], None]
    tally: Tally = field(default_factory=Tally)
    causes: Causes = field(default_factory=Causes)

    def done(self, batch: Upgraded) -> None:
        """Count what a batch did, and report it."""
        self.tally.documents += batch.documents
        self.tally.unfilled += batch.unfilled
        self.tally.failed += len(batch.refused)
        self.tally.left += batch.left
        self.causes.add(batch.refused)
        self.report(batch)


def fill_subject(work: Pass, schema: CompiledSchema) -> bool:
    """Go once through the documents behind `schema`, the oldest stamp first; whether it came to
    the end.

    Each batch stands on its own and each document carries its own stamp, so the pass may end
    anywhere, and others may make the same pass at the same time. Raises StoreUnavailable.
    """
    version = schema.version
    if version is None:
        return False
    stamp = -1
    while not work.stopping():
        found = work.parts.store.next_stamp(work.subject, stamp, version.due)
        if found is None:
            return True
        stamp = found
        gone = leaving(version, schema.defaults, stamp)
        _fill_stamp(work, upgrade(newer_than(schema, stamp), stamp, version.number, gone))
    return False


def _fill_stamp(work: Pass, plan: Upgrade) -> None:
    """Fill all documents of the plan's stamp; raises StoreUnavailable."""
    if plan.usual is not None:
        _fill_usual(work, plan.stamp, plan.usual)
    # Those that stay behind keep their place at the beginning.
    staying = 0
    while not work.stopping():
        ids = work.parts.store.ids(work.subject, plan.stamp, staying, _PAGE)
        if not ids:
            return
        while ids and not work.stopping():
            start = work.parts.timer()
            batch, ids = ids[: work.pace.size], ids[work.pace.size :]
            upgraded = retry_refused(work.parts.store, work.parts.store.apply(batch, plan), plan)
            work.done(upgraded)
            staying += len(upgraded.refused)
            work.pace.rest(work.parts.timer() - start, work.stopping)


def _fill_usual(work: Pass, stamp: int, usual: Usual) -> None:
    """Fill usual documents of a stamp, some stretches of them at a time."""
    stretches = work.parts.store.stretches(work.subject, stamp)
    left = stretches.each(lambda: work.pace.size)
    running: deque[Future[tuple[int, float]]] = deque()

    def fill(stretch: Document) -> tuple[int, float]:
        start = work.parts.timer()
        return stretches.fill(stretch, usual), work.parts.timer() - start

    with ThreadPoolExecutor(work.pace.at_once, "backfill") as pool:
        while not work.stopping():
            for stretch in islice(left, work.pace.at_once - len(running)):
                running.append(pool.submit(fill, stretch))
            if not running:
                return
            documents, took = running.popleft().result()
            work.done(Upgraded(documents))
            work.pace.rest(took, work.stopping)
        # What was sent is done.
        for each in running:
            work.done(Upgraded(each.result()[0]))
