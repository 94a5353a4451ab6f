"""Fill documents of a stamp one `_id` after another, and keep the refused ones as dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consumer.storage.backfill_store import Upgrade, Upgraded
from consumer.storage.migration_failures import Known, entry_of
from jobs.backfill_pass import Pass

# How many `_id`s are read at a time: each time MongoDB passes again over the index entries of what
# was filled within the last minutes, which it keeps for older readers.
_STRETCH = 10_000


def fill_leftovers(work: Pass, plan: Upgrade, failed_before: bool) -> None:
    """Fill all documents of the plan's stamp; `failed_before`: whether any of the subject did.

    Raises StoreUnavailable.
    """
    # Those that stay behind keep their place at the beginning.
    staying = 0
    while not work.stopping():
        ids = work.parts.store.ids(work.subject, plan.stamp, staying, _STRETCH)
        if not ids:
            return
        while ids and not work.stopping():
            start = work.parts.timer()
            batch, ids = ids[: work.pace.size], ids[work.pace.size :]
            staying += _batch(work, plan, batch, failed_before)
            work.pace.rest(work.parts.timer() - start, work.stopping)


def _batch(work: Pass, plan: Upgrade, ids: Sequence[Any], failed_before: bool) -> int:
    """Upgrade what was not refused before; how many documents stay."""
    known = Known()
    if failed_before:
        now = work.parts.clock()
        known = work.parts.failures.known(ids, plan.to, now, again=work.retry_refused)
    tried = [_id for _id in ids if entry_of(_id) not in known.pass_over] if known.pass_over else ids
    upgraded = work.parts.store.apply(tried, plan) if tried else Upgraded()
    _keep(work, tried, known, upgraded, plan)
    work.done(upgraded)
    work.tally.passed_over += len(ids) - len(tried)
    return len(ids) - len(tried) + len(upgraded.refused)


def _keep(
    work: Pass, tried: Sequence[Any], known: Known, upgraded: Upgraded, plan: Upgrade
) -> None:
    """Make entries of what was refused, and end those of what was not any more."""
    now = work.parts.clock()
    if upgraded.refused:
        work.parts.failures.keep(upgraded.refused, work.subject, plan.to, now)
    if known.open:
        refused = {entry_of(refusal.document_id) for refusal in upgraded.refused}
        over = known.open & set(map(entry_of, tried)) - refused
        if over:
            work.parts.failures.resolve(over, now)
