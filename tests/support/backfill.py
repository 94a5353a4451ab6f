"""Wire a backfill on a test's database, and store events as ingest does."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.delivery import Event
from consumer.core.metrics import Metrics
from consumer.core.paths import RESERVED
from consumer.events.documents import Stamp, encode, layout, plain
from consumer.mongodb.client import DEAD_LETTERS, EVENTS, SCHEMA_VERSIONS
from consumer.mongodb.indexes import BY_STAMP
from consumer.schemas.defaults import fill
from consumer.schemas.policy import SchemaPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.backfill.failures import MigrationFailures
from jobs.backfill.job import Backfill, BackfillRules
from jobs.backfill.pace import PaceRules
from jobs.backfill.run import BackfillParts
from jobs.backfill.store import BackfillStore

Document = dict[str, Any]
Db = Database[Document]

LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
AT_ONCE = BackfillRules(quiet=0, pace=PaceRules(batch=100, pause=0, throttle=False))


def registry(database: Db, policy: SchemaPolicy | None = None) -> SchemaRegistry:
    return SchemaRegistry(database[SCHEMA_VERSIONS], policy, utc_now)


def backfill(
    database: Db,
    schemas: SchemaRegistry,
    rules: BackfillRules = AT_ONCE,
    clock: Callable[[], datetime] = utc_now,
) -> Backfill:
    database[EVENTS].create_index(BY_STAMP)
    parts = BackfillParts(
        store=BackfillStore(database[EVENTS]),
        failures=MigrationFailures(database[DEAD_LETTERS]),
        clock=clock,
        sleep=lambda _: None,
    )
    return Backfill(schemas, parts, Metrics(), rules)


def laid_out(schemas: SchemaRegistry, _id: str, payload: Document, subject: str = "s") -> Document:
    """The document that ingest makes of a payload under the schema as it is, registering."""
    payload = copy.deepcopy(payload)
    admission = schemas.admit(subject, payload, _id, vet=encode)
    filled = fill(payload, admission)
    digest = hashlib.sha256(_id.encode()).digest()
    stamp = Stamp(
        subject=subject,
        schema_version=admission.version,
        exhibited_version=admission.exhibited,
        received_at=LONG_AGO,
        # Not in the order of arrival, and now and then the same.
        processed_at=LONG_AGO + timedelta(milliseconds=digest[0]),
        filled=filled.positions,
        unfilled=admission.version if filled.left_out else 0,
        untracked=admission.untracked,
    )
    return layout(_id, Event(_id, subject, payload, digest.hex()), stamp)


def store(
    database: Db, schemas: SchemaRegistry, _id: str, payload: Document, subject: str = "s"
) -> None:
    """Store a payload as ingest does."""
    database[EVENTS].insert_one(encode(laid_out(schemas, _id, payload, subject)))


def read(database: Db) -> dict[Any, Document]:
    """All documents by `_id`, with every value as BSON says and no DBRef made of them."""
    raw: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
    found = database["events"].with_options(codec_options=raw).find()
    return {document["_id"]: plain(document) for document in found}


def payload_part(document: Document) -> Document:
    return {key: value for key, value in document.items() if key not in RESERVED}
