"""A process that backfills: `python -m tests.faults.backfill_worker URI DATABASE`, to be killed."""

from __future__ import annotations

import sys

from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.mongodb.client import DEAD_LETTERS, EVENTS, SCHEMA_VERSIONS, connect, open_database
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.backfill.failures import MigrationFailures
from jobs.backfill.job import Backfill, BackfillRules
from jobs.backfill.pace import PaceRules
from jobs.backfill.run import BackfillParts
from jobs.backfill.store import BackfillStore
from tests.support.jobs import Run


def main(uri: str, name: str) -> None:
    database = open_database(connect(uri, timeout=30), name)
    parts = BackfillParts(
        BackfillStore(database[EVENTS]),
        MigrationFailures(database[DEAD_LETTERS]),
        utc_now,
    )
    schemas = SchemaRegistry(database[SCHEMA_VERSIONS])
    # Small batches and hardly a rest, so that a kill comes in the middle of one.
    job = Backfill(schemas, parts, Metrics(), BackfillRules(0, PaceRules(batch=20, pause=0.001)))
    while True:
        result = job(Run())
        # What is refused stays behind.
        if not result["documents"] and not result["failed"]:
            break


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
