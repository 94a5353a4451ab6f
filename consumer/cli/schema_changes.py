"""Show changes of schemas: as rows for people, as documents for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Group

from consumer.cli.console import table
from consumer.schema.jsontypes import bits
from consumer.schema.model import Change
from consumer.schema.paths import to_text
from consumer.storage.schema_versions import Step

COLUMNS = ("class", "path", "was", "is", "caused by")


def row(change: Change) -> tuple[object, ...]:
    """The cells under COLUMNS."""
    was = None if change.before is None else types_text(change.before)
    return (
        change.kind,
        to_text(change.path),
        was,
        types_text(change.after),
        change.caused_by or None,
    )


def types_text(mask: int) -> str:
    """`integer | string`; `null` where only null was seen so far."""
    return " | ".join(bits(mask)) or "null"


def path_texts(changes: Iterable[Change]) -> str:
    return ", ".join(to_text(change.path) for change in changes)


def document(change: Change) -> dict[str, Any]:
    """A change for programs: its path as segments and as text."""
    return {**change.to_document(), "text": to_text(change.path)}


def changes_table(changes: Iterable[Change], title: str) -> Group:
    return table(COLUMNS, [row(change) for change in changes], title=title)


def steps_table(steps: Iterable[Step], title: str) -> Group:
    rows = [
        (step.version, *row(change), step.created_at) for step in steps for change in step.changes
    ]
    return table(("version", *COLUMNS, "when"), rows, title=title)


def step_document(step: Step) -> dict[str, Any]:
    return {
        "version": step.version,
        "created_at": step.created_at,
        "changes": [document(change) for change in step.changes],
    }
