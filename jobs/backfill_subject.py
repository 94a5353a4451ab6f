"""Bring the documents of one subject up to its head, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consumer.schema.compiled import CompiledSchema
from consumer.schema.newer import newer_than
from consumer.storage.backfill_store import BackfillStore, Upgrade, Upgraded, upgrade
from consumer.storage.migration_failures import Known, MigrationFailures, entry_of
from jobs.backfill_pace import Pace, PaceRules

# Without throttle: batches that MongoDB works on at the same time.
_AT_ONCE = 2
# How many `_id`s are read at a time: each time MongoDB passes again over the index entries of what
# was filled within the last minutes, which it keeps for older readers.
_STRETCH = 10_000


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
    """What became of a subject's documents; `passed_over` were refused before."""

    documents: int = 0
    failed: int = 0
    passed_over: int = 0


@dataclass(slots=True)
class SubjectBackfill:
    """One pass over what is behind. Each batch stands on its own and carries its own stamp, so
    the pass may end anywhere, and others may make the same pass at the same time."""

    subject: str
    schema: CompiledSchema
    parts: Parts
    rules: PaceRules
    retry_refused: bool = False
    tally: Tally = field(default_factory=Tally)

    def run(self, stopping: Callable[[], bool], told: Callable[[Upgraded], None]) -> Tally:
        """Go through the documents behind, the oldest stamp first; `told` hears of each batch.

        Raises StoreUnavailable.
        """
        version = self.schema.version
        if version is None:
            return self.tally
        pace, stamp = Pace(self.rules, self.parts.sleep), -1
        with ThreadPoolExecutor(1 if self.rules.throttle else _AT_ONCE) as pool:
            while not stopping():
                after, below = stamp, version.newest_fillable
                found = self.parts.store.next_stamp(self.subject, after, below)
                if found is None:
                    break
                stamp = found
                plan = upgrade(newer_than(self.schema, stamp), stamp, version.number)
                self._stamp(plan, pace, pool, stopping, told)
        return self.tally

    def _stamp(
        self,
        plan: Upgrade,
        pace: Pace,
        pool: ThreadPoolExecutor,
        stopping: Callable[[], bool],
        told: Callable[[Upgraded], None],
    ) -> None:
        """All documents of one stamp. Those that stay keep their place at its beginning."""
        staying = 0
        while not stopping():
            ids = self.parts.store.ids(self.subject, plan.stamp, staying, _STRETCH)
            if not ids:
                return
            while ids and not stopping():
                start = self.parts.timer()
                size = pace.size if self.rules.throttle else pace.size * _AT_ONCE
                batch, ids = ids[:size], ids[size:]
                upgraded, stay = self._batch(batch, plan, pool)
                staying += stay
                told(upgraded)
                pace.rest(self.parts.timer() - start, stopping)

    def _batch(
        self, ids: Sequence[Any], plan: Upgrade, pool: ThreadPoolExecutor
    ) -> tuple[Upgraded, int]:
        """Upgrade what was not refused before; what became of it, and how many documents stay."""
        store, failures = self.parts.store, self.parts.failures
        known = Known()
        if failures.any():
            known = failures.known(ids, plan.to, self.parts.clock(), again=self.retry_refused)
        tried = _without(ids, known.pass_over)
        upgraded = Upgraded()
        for done in pool.map(lambda part: store.apply(part, plan), self._split(tried)):
            upgraded.documents += done.documents
            upgraded.refused += done.refused
        self._settle(tried, known, upgraded, plan)
        self.tally.passed_over += len(ids) - len(tried)
        return upgraded, len(ids) - len(tried) + len(upgraded.refused)

    def _split(self, ids: Sequence[Any]) -> list[Sequence[Any]]:
        size = len(ids) if self.rules.throttle else -(-len(ids) // _AT_ONCE)
        return [ids[start : start + size] for start in range(0, len(ids), size)] if ids else []

    def _settle(
        self, tried: Sequence[Any], known: Known, upgraded: Upgraded, plan: Upgrade
    ) -> None:
        """Make entries of what was refused, and end those of what was not any more."""
        now = self.parts.clock()
        self.tally.documents += upgraded.documents
        self.tally.failed += len(upgraded.refused)
        if upgraded.refused:
            self.parts.failures.keep(upgraded.refused, self.subject, plan.to, now)
        if known.open:
            refused = {entry_of(refusal.document_id) for refusal in upgraded.refused}
            over = known.open & set(map(entry_of, tried)) - refused
            if over:
                self.parts.failures.resolve(over, now)


def _without(ids: Sequence[Any], entries: frozenset[str]) -> Sequence[Any]:
    return [_id for _id in ids if entry_of(_id) not in entries] if entries else ids
