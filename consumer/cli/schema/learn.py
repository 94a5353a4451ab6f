"""`schema learn`: draft schemas from samples, before the first event comes, and register them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from consumer.cli.bodies import read_bodies
from consumer.cli.console import console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.options import Yes, confirmed
from consumer.cli.schema.breaches import breach_document, print_breaches
from consumer.cli.schema.diff import document, print_changes
from consumer.cli.schema.shared import opened
from consumer.core.errors import Rejected, SetupError
from consumer.core.text import safe
from consumer.ingest.parsing import EventParser
from consumer.privacy.rules import Redaction, masked
from consumer.schemas.draft import Draft

if TYPE_CHECKING:
    from consumer.readers.verdicts import Breach
    from consumer.schemas.registry.registry import SchemaRegistry

_SHOWN = 20
# Stands before the id of a sample where changes name the event that caused them.
MARK = "sample "


class Learning:
    """The drafts that samples make; nothing is stored of them but paths and types.

    `guards` names by subject the guards that kept something out.
    """

    def __init__(
        self, registry: SchemaRegistry, parser: EventParser, one_subject: str | None = None
    ) -> None:
        """`one_subject` is the subject of all event types, where they evolve together."""
        self.drafts: dict[str, Draft] = {}
        self.guards: dict[str, set[str]] = {}
        self._registry = registry
        self._parser = parser
        self._one_subject = one_subject

    def take(self, body: bytes) -> Rejected | None:
        """Draft all that a sample shows, whatever the contract says; why not, if it is no event."""
        from consumer.events.documents import encode

        try:
            event = self._parser.parse(body)
            encode(event.payload)
        except Rejected as error:
            return error
        subject = self._one_subject or event.type
        draft = self.drafts.get(subject)
        if draft is None:
            draft = self.drafts[subject] = self._registry.draft(subject, by_hand=True)
        decision = draft.approve(event.payload, f"{MARK}{event.key}")
        if decision.guard is not None:
            self.guards.setdefault(subject, set()).add(decision.guard)
        return None

    @property
    def is_new(self) -> bool:
        return any(draft.is_new for draft in self.drafts.values())

    def register(self) -> Iterator[tuple[str, int]]:
        """Register each draft with something new: subjects and their versions.

        Raises SchemaMoved when a head is another now, and StoreUnavailable; what was registered
        before stays, and learning again does the rest.
        """
        for subject, draft in self.drafts.items():
            version = self._registry.register(draft) if draft.is_new else None
            if version is not None:
                yield subject, version.number


def learn(
    ctx: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="JSON, .jsonl with one body a line, or - for stdin."
        ),
    ],
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Register what the sample payloads in FILEs show; the samples themselves are not stored.

    Without --yes it asks first; where nobody can answer it only shows. A contract does not hold
    what is learned.

    Exit status: 0 all of it is known now, 1 nothing was registered.
    """
    bodies = read_bodies(files)
    with opened(ctx) as context:
        learning = Learning(
            context.shared.registry, context.shared.sources.main.parser, context.one_subject
        )
        faults = [(n, error) for n, body in enumerate(bodies, 1) if (error := learning.take(body))]
        if faults:
            _refuse(faults)
        _check_room(learning, context.shared.registry.subjects(), context.policy.guards.subjects)
        judge = context.judge()
        breaks = {
            subject: judge.would_break(draft.proposed) for subject, draft in learning.drafts.items()
        }
        if not as_json:
            _print_drafts(learning, breaks, context.hidden)
        wanted = learning.is_new and confirmed("Register this?", yes=yes)
        if wanted:
            subjects = [name for name, draft in learning.drafts.items() if draft.is_new]
            context.record("schema learn", subjects=subjects, count=len(bodies))
        registered = dict(learning.register()) if wanted else {}
    if as_json:
        print_json(
            {
                "subjects": [
                    {
                        "subject": subject,
                        "at": draft.at,
                        "changes": [
                            document(change)
                            for change in masked(draft.changes, context.hidden, subject)
                        ],
                        "breaks": list(map(breach_document, breaks[subject])),
                        "guards": sorted(learning.guards.get(subject, ())),
                        "registered": registered.get(subject),
                    }
                    for subject, draft in learning.drafts.items()
                ],
                "applied": wanted,
            }
        )
    elif wanted:
        rows = list(registered.items())
        console().print(table(("subject", "version"), rows, title="Registered"))
    elif learning.is_new:
        console().print("Nothing was changed: add --yes to do it.")
    return 0 if wanted or not learning.is_new else 1


def _refuse(faults: list[tuple[int, Rejected]]) -> None:
    lines = [f"  body {number}: {error.reason}: {error}" for number, error in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"  and {len(faults) - _SHOWN:,} more")
    raise SetupError(
        "nothing was registered, for some samples are no events: correct or leave them out\n"
        + "\n".join(lines)
    )


def _check_room(learning: Learning, known: dict[str, int], limit: int) -> None:
    """Each draft looks at the bound on subjects by itself; together they might pass it."""
    new = [subject for subject, draft in learning.drafts.items() if draft.is_new]
    if len(known.keys() | set(new)) > max(limit, len(known)):
        raise SetupError(
            f"{len(known):,} subjects are registered and the samples bring {len(new):,}, but"
            f" CXONE_SCHEMA_MAX_SUBJECTS is {limit:,}: raise it or leave some out"
        )


def _print_drafts(
    learning: Learning, breaks: Mapping[str, Sequence[Breach]], masks: Redaction
) -> None:
    out = console()
    for subject, draft in learning.drafts.items():
        if draft.is_new:
            title = f"Would become version {draft.at + 1} of {subject}"
            print_changes(out, masked(draft.changes, masks, subject), title)
            print_breaches(out, breaks[subject])
        else:
            out.print(safe(f"{subject}: nothing new."))
        for guard in sorted(learning.guards.get(subject, ())):
            out.print(safe(f"{subject}: the guard {guard} keeps something out."))
