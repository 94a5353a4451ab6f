"""`dlq`: look at dead letters, try them again, put them right, or end them."""

from __future__ import annotations

from typing import Annotated

import typer

from consumer.cli.console import console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.dlq import end, repair, retry, show
from consumer.cli.dlq.entries import (
    EventType,
    FromSource,
    OlderThan,
    Reason,
    Status,
    brief,
    filters,
    opened,
)
from consumer.core.delivery import MAIN

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_entries(
    ctx: typer.Context,
    *,
    reason: Reason = None,
    event_type: EventType = None,
    status: Status = None,
    older_than: OlderThan = None,
    source: FromSource = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many entries.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show how many there are by reason, and the last seen ones."""
    chosen = filters(reason, event_type, status, older_than, source)
    with opened(ctx) as context:
        groups = context.shared.dead_letters.summary(chosen)
        entries = context.shared.dead_letters.rows(chosen, limit)
        masks = context.masks("dlq list", [], reveal=False)
    if as_json:
        print_json({"groups": groups, "entries": [brief(entry, masks) for entry in entries]})
        return
    out = console()
    if not groups:
        out.print("No dead letters match." if chosen else "No dead letters.")
        return
    out.print(
        table(
            ("reason", "status", "entries", "seen", "oldest", "last seen"),
            [
                (
                    group["_id"]["reason"],
                    group["_id"]["status"],
                    group["count"],
                    group["seen"],
                    group["oldest"],
                    group["newest"],
                )
                for group in groups
            ],
            title="Dead letters by reason",
        )
    )
    # Where all came by the main source nothing tells it.
    told = any(entry.get("source") for entry in entries)
    out.print(
        table(
            ("id", *["source"] * told, "reason", "status", "type", "seen", "last seen", "error"),
            [
                (
                    entry["_id"],
                    *[entry.get("source", MAIN)] * told,
                    entry["reason"],
                    entry.get("status"),
                    entry.get("event_type"),
                    entry.get("seen"),
                    entry.get("last_seen"),
                    entry.get("diagnosis") or entry.get("error_message"),
                )
                for entry in entries
            ],
            title=f"Last seen ({len(entries)})",
        )
    )


app.command("show")(show.show)
app.command("retry")(retry.retry)
app.command("repair")(repair.repair_entry)
app.command("edit")(repair.edit)
app.command("discard")(end.discard)
app.command("export")(end.export)
