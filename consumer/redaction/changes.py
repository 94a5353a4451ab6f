"""Mask what schemas and their changes tell of the events that caused them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from consumer.redaction.rules import Redaction
from consumer.schema.model import Change, SchemaVersion


def masked(changes: Iterable[Change], masks: Redaction, subject: str | None) -> tuple[Change, ...]:
    """The changes without the keys that are hidden, nor the ids of the events that caused them
    where ids are."""
    return tuple(
        replace(
            each,
            path=masks.path(each.path, subject),
            caused_by=each.caused_by and masks.event_id(each.caused_by, subject),
        )
        for each in changes
    )


def with_masked_changes(version: SchemaVersion, masks: Redaction) -> SchemaVersion:
    """The version as it may be told to others."""
    return replace(version, changes=masked(version.changes, masks, version.subject))


def masked_documents(
    changes: Iterable[Mapping[str, Any]], masks: Redaction, subject: str | None
) -> list[dict[str, Any]]:
    """The same for changes as they are stored."""
    return [
        {
            **each,
            "path": list(masks.path(tuple(each["path"]), subject)),
            "caused_by": masks.event_id(each.get("caused_by"), subject),
        }
        for each in changes
    ]


def without_hidden(version: SchemaVersion, masks: Redaction) -> SchemaVersion:
    """The version without the fields whose names are hidden."""
    shown = (each for each in version.fields if masks.path(each.path, version.subject) == each.path)
    return replace(version, fields=tuple(shown))
