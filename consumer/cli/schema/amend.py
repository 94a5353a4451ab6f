"""`schema retire`, `unmap` and `renumber`: what people decide of a schema that events made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumer.cli.console import console, print_json
from consumer.cli.context import AsJson
from consumer.cli.options import DryRun
from consumer.cli.schema.breaches import breach_document, print_breaches
from consumer.cli.schema.diff import document, print_changes
from consumer.cli.schema.shared import COUNT_SECONDS, Context, Subject, head_of, opened
from consumer.core.clock import utc_now
from consumer.core.errors import SetupError
from consumer.core.paths import ANY_KEY, Path, from_text, to_text
from consumer.core.text import safe
from consumer.privacy.rules import Redaction, masked
from consumer.schemas import manual_changes
from consumer.schemas.model import Change, SchemaVersion
from consumer.schemas.provenance import leaving_of

if TYPE_CHECKING:
    from consumer.readers.verdicts import Breach

Text = Annotated[str, typer.Argument(metavar="PATH", help="As `schema show` writes it.")]
Decide = Callable[[SchemaVersion, Path, datetime], SchemaVersion | None]

# Databases that hold such versions are in this format.
_FORMAT = 2
_SHOWN = 20


def retire(
    ctx: typer.Context,
    subject: Subject,
    path: Text,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fill a field, and what lies below it, no longer; the field stays known.

    The backfill takes out of documents what was filled in, where it still is that: never what was
    sent. `schema show` says of the field that it is retired. Run it again to see what is left.
    """
    from consumer.events.recent import filled_documents
    from consumer.mongodb.client import EVENTS

    place = read_path(path)
    with opened(ctx) as context:
        done = amend(context, subject, place, manual_changes.retire, "retire", dry_run=dry_run)
        retired = {
            position: field
            for position, field in enumerate(done.after.fields)
            if field.path[: len(place)] == place and field.retired is not None
        }
        defaults = context.policy.of(subject).defaults
        leaving = leaving_of(retired, done.after, defaults)
        events = context.shared.database[EVENTS]
        filled = filled_documents(events, subject, leaving, COUNT_SECONDS) if leaving else (0, 0)
    names = [to_text(context.hidden.path(field.path, subject)) for field in retired.values()]
    facts = {
        "fields": names,
        "documents": None if filled is None else filled[0] - filled[1],
        "left": None if filled is None else filled[1],
    }
    if as_json:
        print_json({**done.document(), **facts})
        return
    done.print()
    out = console()
    _print_names(f"{'Would be retired' if dry_run else 'Retired'}", names)
    if filled is None:
        out.print(f"How many documents hold a filling takes more than {COUNT_SECONDS:.0f} s.")
        return
    out.print(f"The backfill takes fillings out of {facts['documents']:,} documents.")
    if filled[1]:
        out.print(
            f"{filled[1]:,} keep values: they are not those that were filled in, or nobody can"
            " tell sent from filled there."
        )


def unmap(
    ctx: typer.Context,
    subject: Subject,
    path: Text,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a map an object again, whose keys are fields, whatever keys come.

    The fields that the map took over are back, and filled in older documents; keys that came only
    since then are back with the next event that sends them.
    """
    with opened(ctx) as context:
        place = _object(read_path(path))
        done = amend(context, subject, place, manual_changes.unmap, "unmap", dry_run=dry_run)
    back = [
        to_text(context.hidden.path(now.path, subject))
        for was, now in zip(done.before.fields, done.after.fields, strict=False)
        if was.absorbed is not None and now.absorbed is None
    ]
    if as_json:
        print_json({**done.document(), "fields": back})
        return
    done.print()
    _print_names("Would be back" if dry_run else "Back", back)


def renumber(
    ctx: typer.Context, subject: Subject, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Go on behind versions that were lost, as where a backup was restored beside newer events.

    Documents know versions that are gone. Their numbers are taken by copies of the newest version
    that is left, so that no number is ever used for something else; new fields are registered again
    from then on.
    """
    from consumer.mongodb import stored_format

    with opened(ctx) as context:
        registry = context.shared.registry
        hole = registry.hole(subject)
        if hole is None:
            head_of(context.shared, subject)
        made = None
        if hole is not None and not dry_run:
            stored_format.require(context.shared.database, _FORMAT)
            context.record("schema renumber", subject=subject, version=hole.head, seen=hole.seen)
            made = registry.renumber(subject)
    if as_json:
        known = {"head": hole.head, "seen": hole.seen} if hole else {"head": None, "seen": None}
        print_json({"subject": subject, **known, "version": made.number if made else None})
    elif hole is None:
        console().print(safe(f"{subject}: no version was lost."))
    elif made is None:
        console().print(safe(hole.sentence(subject)), soft_wrap=True)
    else:
        console().print(safe(f"{subject} goes on with version {made.number}."))


@dataclass(frozen=True, slots=True)
class Amendment:
    """The newest version before and after a change, and whom that `breaks`; `applied`: it is
    registered by now, `new`: by this command. The same version twice: it was so already."""

    before: SchemaVersion
    after: SchemaVersion
    path: Path
    masks: Redaction
    applied: bool
    new: bool
    breaks: Sequence[Breach] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        if self.after is self.before:
            return ()
        return masked(self.after.changes, self.masks, self.after.subject)

    @property
    def place(self) -> str:
        return to_text(self.masks.path(self.path, self.after.subject))

    def document(self) -> dict[str, Any]:
        return {
            "subject": self.after.subject,
            "path": self.place,
            "version": self.after.number,
            "changes": [document(change) for change in self.changes],
            "breaks": list(map(breach_document, self.breaks)),
            "applied": self.applied,
            "new": self.new,
        }

    def print(self) -> None:
        subject = self.after.subject
        if not self.changes:
            console().print(safe(f"{subject}: {self.place} is so already."))
            return
        would = "" if self.applied else "would be "
        print_changes(console(), self.changes, f"{subject} {would}version {self.after.number}")
        print_breaches(console(), self.breaks)
        if not self.applied:
            console().print("Nothing was changed: leave out --dry-run to do it.")


def amend(
    context: Context,
    subject: str,
    path: Path,
    decide: Decide,
    what: str,
    *,
    dry_run: bool,
    needs: int = _FORMAT,
    **details: object,
) -> Amendment:
    """Register the change under the name of its command, or only make it, with `dry_run`; it
    `needs` a format of the database, and the audit has the `details`."""
    from consumer.mongodb import stored_format

    head = head_of(context.shared, subject)
    if decide is not manual_changes.unalias:
        check_known(head, path, context.hidden)
    made = decide(head, path, utc_now())
    if made is None:
        return Amendment(head, head, path, context.hidden, applied=True, new=False)
    breaks = context.judge().would_break(made)
    if dry_run:
        return Amendment(head, made, path, context.hidden, False, False, breaks)
    shown = context.hidden.recorded(path, subject)
    stored_format.require(context.shared.database, needs)
    context.record(f"schema {what}", subject=subject, version=head.number, path=shown, **details)
    after, new = context.shared.registry.change(subject, lambda head, now: decide(head, path, now))
    return Amendment(head, after, path, context.hidden, True, new, breaks)


def check_known(head: SchemaVersion, path: Path, masks: Redaction) -> None:
    """Raise SetupError with names that are near for a path that is not known."""
    if any(field.path == path for field in head.live):
        return
    known = [to_text(field.path) for field in masks.without_hidden(head).live]
    near = " or ".join(get_close_matches(to_text(path), known, 3))
    hint = f": did you mean {near}?" if near else ": `schema show` lists what it has"
    raise SetupError(f'schema "{head.subject}" has no field "{to_text(path)}"{hint}')


def _print_names(what: str, names: list[str]) -> None:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    if names:
        console().print(safe(f"{what}: {', '.join(names[:_SHOWN])}{more}."), soft_wrap=True)


def read_path(text: str) -> Path:
    """A path as people write it; raises BadParameter."""
    try:
        path = from_text(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from error
    if not path:
        raise typer.BadParameter("a path has at least one key", param_hint="PATH")
    return path


def _object(path: Path) -> Path:
    """The object of a map that may be named with its `*`."""
    return path[:-1] if path[1:] and path[-1] == ANY_KEY else path
