"""`schema diff`: changes between two versions, as rows for people and documents for programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from consumer.cli.console import console, fits, print_json, shown, table
from consumer.cli.context import AsJson
from consumer.cli.schema.breaches import breach_document, print_breaches, types_text
from consumer.cli.schema.shared import Subject, head_of, no_version, opened
from consumer.core.paths import to_text
from consumer.core.text import safe
from consumer.privacy.rules import masked
from consumer.schemas.evolution import diff as compare
from consumer.schemas.model import Change

if TYPE_CHECKING:
    from consumer.schemas.registry.versions import VersionChanges

_COLUMNS = ("class", "path", "was", "is")
_VERSIONS = re.compile(r"(\d{1,9})?\.\.(\d{1,9})?|(\d{1,9})")


def diff(
    ctx: typer.Context,
    subject: Subject,
    versions: Annotated[
        str | None, typer.Argument(metavar="[A..B]", help="Else the newest version's changes.")
    ] = None,
    net: Annotated[
        bool, typer.Option("--net", help="Compare A and B in one step, without their history.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what changed from version A to B: class, path, types, the event that caused it, when;
    and which pinned readers that breaks.

    0 stands for before version 1; A.. goes up to the newest, N alone is N-1..N.
    """
    with opened(ctx) as context:
        head = head_of(context.shared, subject)
        older, newer = between(versions, head.number)
        after = context.shared.registry.version(subject, newer)
        before = context.shared.registry.version(subject, older) if older else None
        if after is None or (older and before is None):
            raise no_version(head, newer if after is None else older)
        masks = context.hidden
        steps = [
            replace(step, changes=masked(step.changes, masks, subject))
            for step in context.shared.registry.changes_between(subject, older, newer)
        ]
        breaches = context.judge().breaches(subject, newer, older)
    changes = masked(compare(before, after), masks, subject)
    if as_json:
        print_json(
            {
                "subject": subject,
                "from": older,
                "to": newer,
                "steps": [step_document(step) for step in steps],
                "net": [document(change) for change in changes],
                "breaches": [breach_document(each) for each in breaches],
            }
        )
        return
    title = f"{subject}, version {older} to {newer}"
    if net:
        print_changes(console(), changes, title)
    else:
        print_steps(console(), steps, title)
    print_breaches(console(), breaches)


def between(text: str | None, newest: int) -> tuple[int, int]:
    """The versions that `A..B`, `A..`, `..B` or `N` means; raises typer.BadParameter."""
    if text is None:
        return newest - 1, newest
    found = _VERSIONS.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no range of versions: write it like 3..7")
    first, last, single = found.groups()
    older = int(single) - 1 if single else int(first or 0)
    newer = int(single) if single else int(last or newest)
    if not 0 <= older < newer:
        raise typer.BadParameter(f"{text!r}: the first version must be before the second")
    return older, newer


def path_texts(changes: Iterable[Change]) -> str:
    return ", ".join(to_text(change.path) for change in changes)


def print_changes(out: Console, changes: Sequence[Change], title: str = "") -> None:
    """One table with the cause of each change; where that is too wide, one for each cause."""
    rows = [(*_row(change), change.caused_by or None) for change in changes]
    whole = table((*_COLUMNS, "caused by"), rows, title=title)
    if fits(out, whole):
        out.print(whole)
        return
    if title:
        out.print(Text(safe(title), style="bold"))
    _print_by_cause(out, changes)


def print_steps(out: Console, steps: Sequence[VersionChanges], title: str) -> None:
    """One table of changes with version, cause and time; where that is too wide, one for each
    version and cause."""
    rows = [
        (step.version, *_row(change), change.caused_by or None, step.created_at)
        for step in steps
        for change in step.changes
    ]
    whole = table(("version", *_COLUMNS, "caused by", "when"), rows, title=title)
    if fits(out, whole):
        out.print(whole)
        return
    out.print(Text(safe(title), style="bold"))
    for step in steps:
        out.print(f"\nversion {step.version}, {shown(step.created_at)}")
        _print_by_cause(out, step.changes)


def document(change: Change) -> dict[str, Any]:
    """A change for programs: its path as segments and as text."""
    return {**change.to_document(), "text": to_text(change.path)}


def step_document(step: VersionChanges) -> dict[str, Any]:
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
