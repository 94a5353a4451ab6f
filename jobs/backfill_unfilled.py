"""Fill documents after all that lack something on purpose, when a person asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from consumer.clock import utc_now
from consumer.storage.schema_registry import SchemaRegistry
from consumer.storage.unfilled_documents import Refilled, UnfilledDocuments
from jobs.backfill_pace import Pace
from jobs.backfill_progress import Progress
from jobs.run import JobRun

_BATCH = 100


def fill_unfilled(
    documents: UnfilledDocuments,
    registry: SchemaRegistry,
    found: Mapping[str, int],
    pace: Pace,
    run: JobRun,
) -> dict[str, Any]:
    """Go once through the unfilled documents of these subjects (`found`: how many of each): how
    many were filled, how many lack something still, how many of those refuse all of it.

    It may be cut off anywhere. Raises StoreUnavailable.
    """
    progress = Progress(sum(found.values()), monotonic())
    total = Refilled()
    for subject in found:
        schema = registry.compiled(subject)
        staying = 0
        while not run.stopping():
            start = monotonic()
            batch = documents.refill(schema, subject, staying, min(_BATCH, pace.size))
            if batch is None:
                break
            staying += batch.staying
            total.add(batch)
            progress.done += batch.documents
            progress.remaining = max(0, progress.remaining - batch.documents)
            run.progress(subject=subject, **progress.facts(monotonic(), utc_now()))
            pace.rest(monotonic() - start, run.stopping)
    return {
        "documents": total.documents,
        "unfilled": total.staying,
        "refused": total.refused,
        "seconds": round(monotonic() - progress.started, 3),
    }
