"""`events show`: one event, field by field: sent, filled at ingest, or backfilled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from consumer.cli.console import console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.events.find import facts, masks_of, may_be_found, rules
from consumer.cli.options import CANDIDATES, ambiguous
from consumer.cli.reveal import Reveal
from consumer.cli.schema.shared import Context, opened
from consumer.console.event_rows import MARKS, marked
from consumer.core.errors import SetupError

if TYPE_CHECKING:
    from consumer.mongodb.client import Document


def show_event(
    ctx: typer.Context,
    event_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="The id it was sent with, its _id, or how one begins."),
    ],
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Show one event: where it came from, and of each field whether it was sent or filled in."""
    with opened(ctx) as context:
        event = _one(context, event_id, reveal=reveal)
        masks = masks_of(context, "events show", reveal=reveal, event=event["_id"])
        told = facts(event, context, masks)
        subject = told["type"]
        head = context.shared.registry.refreshed(subject)
        defaults = context.policy.of(subject).defaults
        shown = masks.document(event, rules(context, subject))
        found = marked(event, shown, head, defaults)
    meta = shown.get("_meta") or {}
    told |= {name: meta.get(name) for name in ("received_at", "backfilled_to", "unfilled")}
    told["repairs"] = meta.get("repairs")
    if as_json:
        fields = [
            {"path": each.path, "mark": each.mark, "since": each.since} for each in found.rows
        ]
        document = {name: value for name, value in shown.items() if name != "_id"}
        print_json({**told, "document": document, "fields": fields, "cut": found.cut})
        return
    out = console()
    out.print(table(("event", ""), [row for row in told.items() if row[1] is not None]))
    columns = ("field", "value", "how", "since")
    rows = [
        ("  " * each.depth + each.name, each.value, MARKS[each.mark][0], each.since)
        for each in found.rows
    ]
    out.print(table(columns, rows))
    if found.cut:
        out.print(f"The first {len(found.rows):,} fields: --json has the whole document.")


def _one(context: Context, prefix: str, *, reveal: bool) -> Document:
    """The event that is meant; raises SetupError where there is none, or more than one."""
    from consumer.events.search import EventSearch
    from consumer.mongodb.client import EVENTS

    search = EventSearch(context.shared.database[EVENTS])
    alike = search.beginning(prefix, CANDIDATES + 1)
    found = [each for each in alike if may_be_found(each, prefix, context, context.hidden)]
    if alike and not found:
        # By an id that is masked, for a person who said --reveal alone; the audit has it.
        masks = masks_of(context, "events show", reveal=reveal)
        found = [each for each in alike if may_be_found(each, prefix, context, masks)]
    exact = [each for each in found if prefix in (each["_id"], str(each["_meta"].get("key")))]
    candidates = exact or found
    if not candidates:
        raise SetupError(f"no event begins with {prefix!r}: `cxone-consumer events list` has ids")
    if len(candidates) > 1:
        rows = (facts(each, context, context.hidden) for each in candidates)
        named = [f"{row['id']} {row['type']} {row['event_id']}" for row in rows]
        raise ambiguous("event", prefix, named)
    event = search.one(candidates[0]["_id"])
    if event is None:
        raise SetupError("it is gone: erased or expired just now")
    return event
