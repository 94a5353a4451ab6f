"""Upgrade documents that refuse their filling: without what the refusal blames, else the stamp."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consumer.schema.newer import filled_positions, leaving_out
from consumer.storage.backfill_store import BackfillStore, Upgrade, Upgraded, upgrade
from consumer.storage.constraints import (
    EVERYTHING,
    NOTHING,
    Constraints,
    Positions,
    both,
    is_constraint,
)
from consumer.storage.whole_documents import CHANGED, Refusal

# What several constraints refuse loses what each of them blames, one after the other.
_ROUNDS = 4


def spare(store: BackfillStore, upgraded: Upgraded, plan: Upgrade) -> Upgraded:
    """Retry what a batch refused: refusals left are of documents that take not even the stamp, and
    name their culprit. Those that changed meanwhile stay, too. Raises StoreUnavailable."""
    changed = [refusal for refusal in upgraded.refused if refusal.code == CHANGED]
    refused = [(each, NOTHING) for each in upgraded.refused if each.code != CHANGED]
    result = replace(upgraded, refused=changed)
    if not refused:
        return result
    constraints = store.constraints()
    for left in reversed(range(_ROUNDS + 1)):
        groups: dict[Positions, list[Any]] = {}
        for refusal, without in refused:
            if without == EVERYTHING:
                named = replace(refusal, culprit=constraints.culprit(refusal.error))
                result.refused.append(named)
                continue
            next_ = _next(constraints, refusal, plan, without) if left > 1 else EVERYTHING
            groups.setdefault(next_, []).append(refusal.document_id)
        refused = []
        for positions, ids in groups.items():
            schema = leaving_out(plan.schema, positions)
            lighter = upgrade(schema, plan.stamp, plan.to, plan.leaving)
            spared = store.apply(ids, lighter)
            result.documents += spared.documents
            result.unfilled += spared.documents
            refused += [(each, positions) for each in spared.refused]
    return result


def _next(
    constraints: Constraints, refusal: Refusal, plan: Upgrade, without: Positions
) -> Positions:
    """Find what to leave out next of a document that was refused though something was left out."""
    if plan.schema.version is None or not is_constraint(refusal.code):
        return EVERYTHING
    filled = [each for each in filled_positions(plan.schema.root) if each not in without]
    fields = plan.schema.version.fields
    more = constraints.to_leave_out(refusal.error, filled, fields)
    return EVERYTHING if more is None else both(without, more)
