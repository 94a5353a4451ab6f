"""Wire the job that counts fields on a test's database, and store events at any time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from consumer.core.metrics import Metrics
from consumer.events.documents import encode
from consumer.events.recent import RecentEvents
from consumer.mongodb.client import EVENTS, open_database
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.signals.store import FieldStatistics, Signals
from jobs.field_statistics import CountFields
from tests.support.backfill import laid_out

Db = Database[dict[str, Any]]
AT = datetime(2026, 3, 2, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_numbers = itertools.count()


def stored_at(
    database: Db,
    schemas: SchemaRegistry,
    at: datetime,
    payloads: Iterable[dict[str, Any]],
    subject: str = "s",
) -> None:
    """Store payloads as ingest does, each a second after the other."""
    documents: list[RawBSONDocument] = []
    for payload in payloads:
        document = laid_out(schemas, f"e{next(_numbers)}", payload, subject)
        document["processed_at"] = at + timedelta(seconds=len(documents))
        documents.append(encode(document))
    database[EVENTS].insert_many(documents)


def count_fields(
    database: Db,
    schemas: SchemaRegistry,
    clock: Callable[[], datetime],
    metrics: Metrics | None = None,
    max_bytes: int = 500_000_000,
) -> CountFields:
    ours = open_database(database.client, database.name)
    return CountFields(
        events=RecentEvents(ours[EVENTS]),
        statistics=FieldStatistics(ours),
        signals=Signals(ours),
        heads=schemas,
        metrics=metrics or Metrics(),
        max_bytes=max_bytes,
        clock=clock,
        sleep=lambda _: None,
    )
