"""`schema diff`: what changed between two versions, which event caused it, and when."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

import typer

from consumer.cli.console import console, print_json
from consumer.cli.schema_changes import (
    document,
    print_changes,
    print_steps,
    step_document,
)
from consumer.cli.schema_parts import AsJson, Subject, head_of, no_version, opened
from consumer.redaction.changes import masked
from consumer.schema.diff import diff as compare

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
    """Show what changed from version A to B: class, path, types, the event that caused it, when.

    0 stands for before version 1; A.. goes up to the newest, N alone is N-1..N.
    """
    with opened(ctx) as parts:
        head = head_of(parts.core, subject)
        older, newer = between(versions, head.number)
        after = parts.core.registry.version(subject, newer)
        before = parts.core.registry.version(subject, older) if older else None
        if after is None or (older and before is None):
            raise no_version(head, newer if after is None else older)
        masks = parts.hidden
        steps = [
            replace(step, changes=masked(step.changes, masks, subject))
            for step in parts.core.registry.steps(subject, older, newer)
        ]
    changes = masked(compare(before, after), masks, subject)
    if as_json:
        print_json(
            {
                "subject": subject,
                "from": older,
                "to": newer,
                "steps": [step_document(step) for step in steps],
                "net": [document(change) for change in changes],
            }
        )
        return
    title = f"{subject}, version {older} to {newer}"
    if net:
        print_changes(console(), changes, title)
    else:
        print_steps(console(), steps, title)


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
