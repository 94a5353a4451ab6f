"""Mask what changes of a schema tell of the events that caused them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from consumer.redaction.rules import Redaction
from consumer.schema.model import Change


def masked(changes: Iterable[Change], masks: Redaction, subject: str) -> tuple[Change, ...]:
    """The changes without the ids of the events that caused them, where ids are masked."""
    return tuple(
        replace(each, caused_by=masks.event_id(each.caused_by, subject)) if each.caused_by else each
        for each in changes
    )
