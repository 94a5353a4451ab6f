"""Find schemas that contradict the documents, as after a restored backup, or the settings."""

from __future__ import annotations

from collections.abc import Iterator

from consumer.core.text import safe
from consumer.doctor.check import Check, Target
from consumer.mongodb.client import EVENTS, SCHEMA_VERSIONS
from consumer.runtime.settings_map import schema_policy
from consumer.schemas.registry.document_stamps import DocumentStamps
from consumer.schemas.registry.registry import SchemaRegistry

NAME = "schema versions"
PINS = "schema pins"
_MAX_SHOWN = 20


def examine(target: Target) -> Iterator[Check]:
    registry = _registry(target)
    registry.look_for_holes()
    holes = sorted(registry.holes.items())
    for subject, hole in holes[:_MAX_SHOWN]:
        advice = f"`cxone-consumer schema renumber {subject}` goes on behind them"
        yield Check(NAME, "fail", safe(hole.finding(subject)), safe(advice))
    if not holes:
        yield Check(NAME, "ok", "documents know no version that was lost")


def pinned(target: Target) -> Iterator[Check]:
    found = _registry(target).contradictions()
    for each in found[:_MAX_SHOWN]:
        yield Check(PINS, "warn", safe(each.finding), safe(f"`{each.remedy}`"))
    if not found:
        yield Check(PINS, "ok", "no object that the settings pin is a map")


def _registry(target: Target) -> SchemaRegistry:
    """The schemas as the settings would have them."""
    db = target.database
    policy, stamps = schema_policy(target.settings), DocumentStamps(db[EVENTS])
    return SchemaRegistry(db[SCHEMA_VERSIONS], policy, stamps=stamps)
