"""Bring the documents of one subject up to its head, stamp by stamp."""

from __future__ import annotations

from consumer.schema.compiled import CompiledSchema
from consumer.schema.newer import newer_than
from consumer.schema.origin import leaving
from consumer.storage.backfill_store import upgrade
from jobs.backfill_leftovers import fill_leftovers
from jobs.backfill_pass import Pass
from jobs.backfill_sweep import sweep


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
