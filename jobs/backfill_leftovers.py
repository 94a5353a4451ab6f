"""Fill documents of a stamp one `_id` after another, those too that refuse their filling."""

from __future__ import annotations

from consumer.storage.backfill_store import Upgrade
from consumer.storage.spared_documents import spare
from jobs.backfill_pass import Pass

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
