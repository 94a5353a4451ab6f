"""Show changes of schemas: as rows for people, as documents for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.text import Text

from consumer.cli.console import shown, table
from consumer.printable import safe
from consumer.schema.jsontypes import bits
from consumer.schema.model import Change
from consumer.schema.paths import to_text
from consumer.storage.schema_versions import Step

_COLUMNS = ("class", "path", "was", "is")
_UNBOUNDED = 100_000


def types_text(mask: int) -> str:
    """`integer | string`; `null` where only null was seen so far."""
    return " | ".join(bits(mask)) or "null"


def path_texts(changes: Iterable[Change]) -> str:
    return ", ".join(to_text(change.path) for change in changes)


def print_changes(out: Console, changes: Sequence[Change], title: str = "") -> None:
    """One table with the cause of each change; where that is too wide, one for each cause."""
    rows = [(*_row(change), change.caused_by or None) for change in changes]
    whole = table((*_COLUMNS, "caused by"), rows, title=title)
    if _fits(out, whole):
        out.print(whole)
        return
    if title:
        out.print(Text(safe(title), style="bold"))
    _print_by_cause(out, changes)


def print_steps(out: Console, steps: Sequence[Step], title: str) -> None:
    """One table of what each version changed, why and when; where that is too wide, one for each
    version and cause."""
    rows = [
        (step.version, *_row(change), change.caused_by or None, step.created_at)
        for step in steps
        for change in step.changes
    ]
    whole = table(("version", *_COLUMNS, "caused by", "when"), rows, title=title)
    if _fits(out, whole):
        out.print(whole)
        return
    out.print(Text(safe(title), style="bold"))
    for step in steps:
        out.print(f"\nversion {step.version}, {shown(step.created_at)}")
        _print_by_cause(out, step.changes)


def document(change: Change) -> dict[str, Any]:
    """A change for programs: its path as segments and as text."""
    return {**change.to_document(), "text": to_text(change.path)}


def step_document(step: Step) -> dict[str, Any]:
    return {
        "version": step.version,
        "created_at": step.created_at,
        "changes": [document(change) for change in step.changes],
    }


def _row(change: Change) -> tuple[object, ...]:
    """The cells under _COLUMNS."""
    was = None if change.before is None else types_text(change.before)
    return (change.kind, to_text(change.path), was, types_text(change.after))


def _print_by_cause(out: Console, changes: Iterable[Change]) -> None:
    for cause, alike in groupby(changes, lambda change: change.caused_by):
        if cause:
            out.print(safe(f"caused by {cause}"), soft_wrap=True)
        out.print(table(_COLUMNS, [_row(change) for change in alike]))


def _fits(out: Console, rendered: RenderableType) -> bool:
    """Whether nothing of it has to be folded."""
    unbounded = out.options.update(width=_UNBOUNDED)
    return Measurement.get(out, unbounded, rendered).maximum <= out.width
