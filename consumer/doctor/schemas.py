"""Find schemas that lost versions which documents know, as where a backup was restored, and those
that say other than the settings."""

from __future__ import annotations

from collections.abc import Iterator

from consumer.core.text import safe
from consumer.doctor.check import Check, Patient
from consumer.mongodb.client import EVENTS, SCHEMA_VERSIONS, open_database
from consumer.runtime.settings_map import schema_policy
from consumer.schemas.registry.document_stamps import DocumentStamps
from consumer.schemas.registry.registry import SchemaRegistry

NAME = "schema versions"
PINS = "schema pins"
_MAX_SHOWN = 20


def examine(patient: Patient) -> Iterator[Check]:
    for registry in _registry(patient):
        registry.look_for_holes()
        holes = sorted(registry.holes.items())
        for subject, hole in holes[:_MAX_SHOWN]:
            advice = f"`cxone-consumer schema renumber {subject}` goes on behind them"
            yield Check(NAME, "fail", safe(hole.finding(subject)), safe(advice))
        if not holes:
            yield Check(NAME, "ok", "documents know no version that was lost")


def pinned(patient: Patient) -> Iterator[Check]:
    for registry in _registry(patient):
        found = registry.contradictions()
        for each in found[:_MAX_SHOWN]:
            yield Check(PINS, "warn", safe(each.finding), safe(f"`{each.remedy}`"))
        if not found:
            yield Check(PINS, "ok", "no object that the settings pin is a map")


def _registry(patient: Patient) -> Iterator[SchemaRegistry]:
    """The schemas as the settings would have them; none without `MONGODB_URI`."""
    if patient.client is not None:
        db = open_database(patient.client, patient.settings.mongodb_database)
        policy, stamps = schema_policy(patient.settings), DocumentStamps(db[EVENTS])
        yield SchemaRegistry(db[SCHEMA_VERSIONS], policy, stamps=stamps)
