"""Bring the documents of one subject up to its head, stamp by stamp."""

from __future__ import annotations

from consumer.schema.compiled import CompiledSchema
from consumer.schema.newer import newer_than
from consumer.schema.origin import leaving
from consumer.storage.backfill_store import Upgrade, upgrade
from jobs.backfill_leftovers import fill_leftovers
from jobs.backfill_pass import Pass
from jobs.backfill_sweep import sweep

# More documents than this that were refused before are not named in every command.
_FEW = 1000


def fill_subject(work: Pass, schema: CompiledSchema) -> None:
    """Go once through the documents behind `schema`, the oldest stamp first.

    Each batch stands on its own and each document carries its own stamp, so the pass may end
    anywhere, and others may make the same pass at the same time. Raises StoreUnavailable.
    """
    version = schema.version
    if version is None:
        return
    stamp = -1
    while not work.stopping():
        found = work.parts.store.next_stamp(work.subject, stamp, version.due)
        if found is None:
            return
        stamp = found
        gone = leaving(version, schema.defaults, stamp)
        _fill(work, upgrade(newer_than(schema, stamp), stamp, version.number, gone))


def _fill(work: Pass, plan: Upgrade) -> None:
    """All documents of one stamp: first what is simple, then what is left."""
    aside = work.parts.failures.documents(work.subject, _FEW + 1)
    if plan.pipeline is not None and len(aside) <= _FEW:
        sweep(work, plan, aside)
    fill_leftovers(work, plan, bool(aside))
