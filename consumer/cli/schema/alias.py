"""`schema alias` and `unalias`: fields that are filled from other ones, as after a rename."""

from __future__ import annotations

from time import monotonic
from typing import Annotated, Any

import typer

from consumer.cli.console import console, print_json
from consumer.cli.context import AsJson
from consumer.cli.options import DryRun
from consumer.cli.schema.amend import Amendment, Decide, Text, amend, read_path
from consumer.cli.schema.shared import COUNT_SECONDS, Context, Subject, head_of, opened
from consumer.core.errors import SetupError
from consumer.core.paths import Path, to_key, to_text
from consumer.core.text import safe
from consumer.privacy.rules import Redaction
from consumer.schemas import manual_changes
from consumer.schemas.check import compile_schema
from consumer.schemas.model import Alias, SchemaVersion

Old = Annotated[
    str | None, typer.Argument(metavar="OLD", help="The field that events lack, a known one.")
]
New = Annotated[
    str | None, typer.Argument(metavar="NEW", help="The field that they have; perhaps not yet.")
]
Value = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--value", metavar="OLD TEXT", help="Fill OLD with TEXT, where nothing else is there."
    ),
]


def alias(
    ctx: typer.Context,
    subject: Subject,
    old: Old = None,
    new: New = None,
    *,
    value: Value = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fill a field that events lack from another one, as where it was renamed, or with a value.

    New events have it at once; the backfill puts it into stored ones, where OLD is absent or still
    is what we filled in: never over what was sent. Only a value of a type that OLD knows is taken.
    Processes that are older than aliases must be stopped first.
    """
    from consumer.mongodb.stored_format import ALIASES

    if value is not None and old is None:
        place = read_path(value[0])
        decide: Decide = lambda head, path, now: manual_changes.alias_value(  # noqa: E731
            head, path, value[1], now
        )
        source = None
    elif value is None and old is not None and new is not None:
        place, source = read_path(old), read_path(new)
        decide = lambda head, path, now: manual_changes.alias(head, path, source, now)  # noqa: E731
    else:
        raise typer.BadParameter("give OLD and NEW, or --value OLD TEXT", param_hint="OLD")
    with opened(ctx) as context:
        shown = None if source is None else to_text(context.hidden.path(source, subject))
        masks = context.hidden
        details = {} if source is None else {"new": masks.recorded(source, subject)}
        done = amend(
            context, subject, place, decide, "alias", dry_run=dry_run, needs=ALIASES, **details
        )
        counted = _count(context, done.after, place, COUNT_SECONDS)
        fills_nothing = context.policy.of(subject).defaults.nothing
    filled, kept = counted or (None, None)
    if as_json:
        print_json({**done.document(), "from": shown, "filled": filled, "kept": kept})
        return
    done.print()
    _print_counts(done, shown, counted)
    if fills_nothing:
        console().print("CXONE_DEFAULTS=none: nothing is filled, by aliases neither.")


def unalias(
    ctx: typer.Context,
    subject: Subject,
    old: Text,
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fill a field by an alias no longer; what is stored stays."""
    from consumer.mongodb.stored_format import ALIASES

    place = read_path(old)
    with opened(ctx) as context:
        head = head_of(context.shared, subject)
        if not any(each.old == place for each in head.aliases):
            known = [to_text(context.hidden.path(e.old, subject)) for e in head.aliases_in_force]
            hint = f": it has {', '.join(known[:5])}" if known else ""
            raise SetupError(f'schema "{subject}" has no alias for "{to_text(place)}"{hint}')
        done = amend(
            context,
            subject,
            place,
            manual_changes.unalias,
            "unalias",
            dry_run=dry_run,
            needs=ALIASES,
        )
    if as_json:
        print_json(done.document())
    else:
        done.print()


def _count(
    context: Context, version: SchemaVersion, old: Path, seconds: float
) -> tuple[int, int] | None:
    from consumer.mongodb.client import EVENTS
    from jobs.backfill.aliases import count

    policy = context.policy.of(version.subject)
    schema = compile_schema(version, policy.defaults, context.policy.guards.depth, policy.pins)
    return count(context.shared.database[EVENTS], schema, old, seconds)


def _print_counts(done: Amendment, new: str | None, counted: tuple[int, int] | None) -> None:
    if counted is None:
        console().print("How many documents it fills is more than can be counted here.")
        return
    filled, kept = counted
    old = safe(done.place)
    of = "Of all documents" if new is None else f"Of the documents with {safe(new)}"
    what = "the value" if new is None else "that"
    has = f"{of} {filled:,} have {what} as {old}, or get it from the backfill"
    stay = f"; {kept:,} keep the {old} they have: it was sent, or nobody can tell" if kept else ""
    console().print(f"{has}{stay}.", soft_wrap=True)


def alias_documents(context: Context, version: SchemaVersion) -> list[dict[str, Any]]:
    """The aliases of a version in words, the newest first; those in force with how many documents
    have what they fill and how many keep another value, None where counting takes too long."""
    masks, subject = context.hidden, version.subject
    ends = monotonic() + COUNT_SECONDS
    found = []
    for each in reversed(version.aliases):
        document: dict[str, Any] = {"old": to_text(masks.path(each.old, subject))}
        if each.new is None:
            document["value"] = shown_value(each, masks, subject)
        else:
            document["from"] = to_text(masks.path(each.new, subject))
        document["since"] = each.since
        if each.until is not None:
            document["until"] = each.until
        else:
            left = ends - monotonic()
            counted = _count(context, version, each.old, left) if left > 0 else None
            document["filled"], document["kept"] = counted or (None, None)
        found.append(document)
    return found


def alias_text(document: dict[str, Any]) -> str:
    """One of these in a line."""
    source = f"from {document['from']}" if "from" in document else f"with {document['value']!r}"
    text = f"{document['old']} filled {source} since {document['since']}"
    if "until" in document:
        return f"{text} until {document['until']}"
    kept = document["kept"]
    return f"{text}, {kept:,} documents keep theirs" if kept else text


def shown_value(alias: Alias, masks: Redaction, subject: str) -> Any:
    """The value of an alias, masked where its field is."""
    payload = alias.value
    for segment in reversed(alias.old):
        payload = {to_key(segment): payload}
    shown: Any = masks.value(payload, subject)
    for segment in alias.old:
        shown = shown[to_key(segment)] if isinstance(shown, dict) else shown
    return shown
