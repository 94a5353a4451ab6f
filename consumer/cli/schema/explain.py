"""`schema explain`: try payloads on drafts of the schemas and say how each would end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from consumer.cli.bodies import read_bodies
from consumer.cli.console import console, print_json
from consumer.cli.context import AsJson
from consumer.cli.schema.diff import document, path_texts, print_changes
from consumer.cli.schema.shared import opened
from consumer.core.errors import Rejected
from consumer.core.text import safe
from consumer.ingest.parsing import EventParser
from consumer.privacy.rules import Redaction, masked
from consumer.schemas.check import compile_schema
from consumer.schemas.draft import Draft
from consumer.schemas.model import Change

if TYPE_CHECKING:
    from consumer.schemas.registry.registry import SchemaRegistry

_SHOWN = 50

End = Literal["stored", "held", "discarded", "dead_letter"]


@dataclass(frozen=True, slots=True)
class Trial:
    """The end that one delivery would have.

    `version` is the one it would be stored under (0: none is registered), a new one when there
    are `changes`. Of a held one `changes` is all that it would change and `held` what
    the contract or a person holds of it; of a discarded one `changes` is what was rejected. `guard`
    leaves `untracked` values out of the schema; `reason` and `message` are those of a dead letter,
    `message` of a held delivery too.
    """

    end: End
    subject: str | None = None
    event_id: str | None = None
    version: int = 0
    changes: tuple[Change, ...] = ()
    held: tuple[Change, ...] = ()
    guard: str | None = None
    untracked: int = 0
    reason: str | None = None
    message: str | None = None


class Trials:
    """Tries deliveries on drafts: each sees what those before it would have registered."""

    def __init__(
        self, registry: SchemaRegistry, parser: EventParser, one_subject: str | None = None
    ) -> None:
        """`one_subject` is the subject of all event types, where they evolve together."""
        self._registry = registry
        self._parser = parser
        self._one_subject = one_subject
        self._drafts: dict[str, Draft] = {}

    def deliver(self, body: bytes) -> Trial:
        """Try a verified delivery with this body; raises StoreUnavailable."""
        from consumer.events.documents import encode

        try:
            event = self._parser.parse(body)
            encode(event.payload)
        except Rejected as error:
            return Trial("dead_letter", reason=error.reason, message=str(error))
        subject = self._one_subject or event.type
        draft = self._drafts.get(subject) or self._registry.draft(subject)
        decision = draft.deliver(event.payload, event.key)
        # Sequential deliveries register a version each.
        self._drafts[subject] = replace(draft, head=draft.version)
        return Trial(
            end="held" if decision.held else "discarded" if decision.unwanted else "stored",
            subject=subject,
            event_id=str(event.key),
            version=draft.version.number if draft.version else 0,
            changes=decision.held or decision.unwanted or draft.changes,
            held=draft.held(decision),
            guard=decision.guard,
            untracked=_untracked(draft, event.payload) if decision.guard else 0,
            message=decision.advice(subject) if decision.held else None,
        )


def _untracked(draft: Draft, payload: dict[str, object]) -> int:
    return (
        compile_schema(draft.version, depth=draft.guards.depth, pins=draft.policy.pins)
        .check(payload)
        .untracked
    )


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
    with opened(ctx) as context:
        trials = Trials(
            context.shared.registry, context.shared.sources.main.parser, context.one_subject
        )
        results = [_masked(trials.deliver(body), context.hidden) for body in bodies]
    if as_json:
        print_json(
            {"bodies": [{"body": n, **_document(each)} for n, each in enumerate(results, start=1)]}
        )
    else:
        _print_trials(results)
    return 0 if all(each.end == "stored" for each in results) else 1


def _masked(trial: Trial, masks: Redaction) -> Trial:
    return replace(
        trial,
        event_id=masks.event_id(trial.event_id, trial.subject),
        changes=masked(trial.changes, masks, trial.subject),
        held=masked(trial.held, masks, trial.subject),
    )


def _print_trials(results: list[Trial]) -> None:
    out = console()
    notable = [(n, each) for n, each in enumerate(results, start=1) if _is_notable(each)]
    for n, each in notable[:_SHOWN]:
        out.print(safe(f"Body {n}: {_sentence(each)}"), soft_wrap=True)
        if each.changes:
            print_changes(out, each.changes)
        if each.held:
            out.print(safe(f"{path_texts(each.held)}: {each.message}"), soft_wrap=True)
    if len(notable) > _SHOWN:
        out.print(f"and {len(notable) - _SHOWN:,} more: --json shows all")
    counts = Counter(each.end.replace("_", " ") for each in results)
    ends = ", ".join(f"{count:,} {end}" for end, count in counts.most_common())
    versions = sum(1 for each in results if each.end == "stored" and each.changes)
    out.print(f"Would be: {ends}. New versions: {versions:,}.")


def _is_notable(trial: Trial) -> bool:
    return trial.end != "stored" or bool(trial.changes) or trial.guard is not None


def _sentence(trial: Trial) -> str:
    if trial.end == "dead_letter":
        return f"would become a dead letter, reason {trial.reason}: {trial.message}"
    event = f'"{trial.subject}" {trial.event_id}'
    if trial.end in ("held", "discarded"):
        return f"{event} would be {trial.end} at version {trial.version}"
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
