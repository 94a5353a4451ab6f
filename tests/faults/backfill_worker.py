"""A process that backfills: `python -m tests.faults.backfill_worker URI DATABASE`, to be killed."""

from __future__ import annotations

import sys

from consumer.clock import utc_now
from consumer.metrics import Metrics
from consumer.storage import mongo
from consumer.storage.backfill_store import BackfillStore
from consumer.storage.migration_failures import MigrationFailures
from consumer.storage.schema_registry import SchemaRegistry
from jobs.backfill import Backfill, BackfillRules
from jobs.backfill_pace import PaceRules
from jobs.backfill_pass import Parts
from tests.backfill import Run


def main(uri: str, name: str) -> None:
    database = mongo.open_database(mongo.connect(uri, timeout=30), name)
    parts = Parts(
        BackfillStore(database[mongo.EVENTS]),
        MigrationFailures(database[mongo.DEAD_LETTERS]),
        utc_now,
    )
    schemas = SchemaRegistry(database[mongo.SCHEMA_VERSIONS])
    # Small batches and hardly a rest, so that a kill comes in the middle of one.
    job = Backfill(schemas, parts, Metrics(), BackfillRules(0, PaceRules(batch=20, pause=0.001)))
    while True:
        result = job(Run())
        # What is refused stays behind.
        if not result["documents"] and not result["failed"]:
            break


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
