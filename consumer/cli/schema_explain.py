"""`schema explain`: what payloads in a file would change, and whether they would be held."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Annotated, Any

import typer

from consumer.cli.bodies import read_bodies
from consumer.cli.console import console, print_json
from consumer.cli.schema_changes import document, path_texts, print_changes
from consumer.cli.schema_parts import AsJson, opened
from consumer.printable import safe
from consumer.redaction import Redaction
from consumer.redaction.changes import masked
from consumer.trial import Trial, Trials

_SHOWN = 50


def explain(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="JSON, .jsonl with one body a line, or - for stdin."),
    ],
    as_json: AsJson = False,
) -> int:
    """Tell what the payloads in FILE would change if they were delivered now, one by one.

    Nothing is stored and nothing is registered.

    Exit status: 0 all would be stored, 1 some would be held or become dead letters.
    """
    bodies = read_bodies([file])
    with opened(ctx) as parts:
        trials = Trials(parts.core.registry, parts.parser, parts.one_subject)
        results = [_masked(trials.deliver(body), parts.hidden) for body in bodies]
    if as_json:
        print_json([{"body": n, **_document(each)} for n, each in enumerate(results, start=1)])
    else:
        _show(results)
    return 0 if all(each.end == "stored" for each in results) else 1


def _masked(trial: Trial, masks: Redaction) -> Trial:
    return replace(
        trial,
        event_id=masks.event_id(trial.event_id, trial.subject),
        changes=masked(trial.changes, masks, trial.subject),
        held=masked(trial.held, masks, trial.subject),
    )


def _show(results: list[Trial]) -> None:
    out = console()
    telling = [(n, each) for n, each in enumerate(results, start=1) if _is_telling(each)]
    for n, each in telling[:_SHOWN]:
        out.print(safe(f"Body {n}: {_sentence(each)}"), soft_wrap=True)
        if each.changes:
            print_changes(out, each.changes)
        if each.held:
            out.print(safe(f"held by the contract: {path_texts(each.held)}"), soft_wrap=True)
    if len(telling) > _SHOWN:
        out.print(f"and {len(telling) - _SHOWN:,} more: --json shows all")
    counts = Counter(each.end.replace("_", " ") for each in results)
    ends = ", ".join(f"{count:,} {end}" for end, count in counts.most_common())
    versions = sum(1 for each in results if each.end == "stored" and each.changes)
    out.print(f"Would be: {ends}. New versions: {versions:,}.")


def _is_telling(trial: Trial) -> bool:
    return trial.end != "stored" or bool(trial.changes) or trial.guard is not None


def _sentence(trial: Trial) -> str:
    if trial.end == "dead_letter":
        return f"would become a dead letter, reason {trial.reason}: {trial.message}"
    event = f'"{trial.subject}" {trial.event_id}'
    if trial.end == "held":
        return f"{event} would be held at version {trial.version}"
    what = f"would register version {trial.version}" if trial.changes else "would be stored"
    kept_out = f" with {trial.untracked:,} values untracked (guard {trial.guard})"
    return f"{event} {what}{kept_out if trial.guard else ''}"


def _document(trial: Trial) -> dict[str, Any]:
    return {
        "would_be": trial.end,
        "subject": trial.subject,
        "event_id": trial.event_id,
        "version": trial.version,
        "registers": trial.end == "stored" and bool(trial.changes),
        "changes": [document(change) for change in trial.changes],
        "held": [document(change) for change in trial.held],
        "guard": trial.guard,
        "untracked": trial.untracked,
        "reason": trial.reason,
        "message": trial.message,
    }
