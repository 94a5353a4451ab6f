"""List every examination, in the order people should read it: adding one is a row."""

from __future__ import annotations

from consumer.doctor import (
    constraints,
    datadog,
    machine,
    mongodb,
    public_url,
    readers,
    refusals,
    rights,
    schemas,
    secrets,
)
from consumer.doctor.check import MONGODB, RIGHTS, Row

ROWS = (
    Row(secrets.NAME, secrets.examine),
    Row("data directory", machine.data_directory),
    Row("listen address", machine.listening),
    Row(mongodb.EMBEDDED, mongodb.embedded),
    Row(MONGODB, mongodb.reachable, needs_mongodb=True),
    Row(mongodb.VERSION, mongodb.supported, needs_mongodb=True),
    Row("MongoDB topology", mongodb.topology, needs_mongodb=True),
    Row("MongoDB clock", mongodb.clock, needs_mongodb=True),
    Row("clocks", mongodb.clocks, needs_mongodb=True),
    Row("MongoDB database", mongodb.database, needs_mongodb=True),
    Row("stored format", mongodb.stored, needs_mongodb=True),
    Row(RIGHTS, rights.examine, needs_mongodb=True),
    Row(constraints.NAME, constraints.examine, needs_mongodb=True),
    Row(schemas.NAME, schemas.examine, needs_mongodb=True),
    Row(schemas.PINS, schemas.pinned, needs_mongodb=True),
    Row(readers.NAME, readers.examine, needs_mongodb=True),
    Row(constraints.INDEXES, constraints.indexes, needs_mongodb=True),
    Row(constraints.DOCUMENTS, constraints.documents, needs_mongodb=True),
    Row(secrets.IN_USE, secrets.in_use, needs_mongodb=True),
    Row(refusals.NAME, refusals.examine, needs_mongodb=True),
    Row(refusals.REJECTED, refusals.rejected, needs_mongodb=True),
    Row(datadog.NAME, datadog.examine),
    Row(public_url.NAME, public_url.examine),
)
