"""Every examination of the doctor, in the order people should read it: adding one is a row."""

from __future__ import annotations

from consumer.doctor import (
    constraints,
    datadog,
    embedded,
    lifetimes,
    machine,
    mongodb,
    refusals,
    rights,
    schemas,
    secret,
    secret_use,
    way,
)
from consumer.doctor.check import MONGODB, RIGHTS, Row

ROWS = (
    Row(secret.NAME, secret.examine),
    Row("data directory", machine.data_directory),
    Row("listen address", machine.listening),
    Row(embedded.EMBEDDED, embedded.embedded),
    Row(MONGODB, mongodb.reachable, needs_mongodb=True),
    Row(lifetimes.VERSION, lifetimes.supported, needs_mongodb=True),
    Row("MongoDB topology", mongodb.topology, needs_mongodb=True),
    Row("MongoDB clock", mongodb.clock, needs_mongodb=True),
    Row("clocks", mongodb.clocks, needs_mongodb=True),
    Row("MongoDB database", mongodb.database, needs_mongodb=True),
    Row("stored format", mongodb.stored, needs_mongodb=True),
    Row(RIGHTS, rights.examine, needs_mongodb=True),
    Row(constraints.NAME, constraints.examine, needs_mongodb=True),
    Row(schemas.NAME, schemas.examine, needs_mongodb=True),
    Row(schemas.PINS, schemas.pinned, needs_mongodb=True),
    Row(constraints.INDEXES, constraints.indexes, needs_mongodb=True),
    Row(constraints.DOCUMENTS, constraints.documents, needs_mongodb=True),
    Row(secret_use.IN_USE, secret_use.in_use, needs_mongodb=True),
    Row(refusals.NAME, refusals.examine, needs_mongodb=True),
    Row(datadog.NAME, datadog.examine),
    Row(way.NAME, way.examine),
)
