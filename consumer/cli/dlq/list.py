"""`dlq list`: the dead letters that wait, by cause and one by one."""

from __future__ import annotations

from typing import Annotated

import typer

from consumer.cli.console import console, print_json, print_lines
from consumer.cli.context import AsJson
from consumer.cli.dlq.entries import (
    OlderThan,
    Reason,
    Status,
    brief,
    filters,
    opened,
    short_id,
    waiting,
)
from consumer.cli.options import EventType, FromSource
from consumer.core.delivery import MAIN
from consumer.dead_letters.search import DeadLetterSearch
from consumer.mongodb.client import DEAD_LETTERS

_MOST_GROUPS = 1000
_SHOWN_GROUPS = 20


def list_entries(
    ctx: typer.Context,
    *,
    reason: Reason = None,
    event_type: EventType = None,
    status: Status = None,
    older_than: OlderThan = None,
    source: FromSource = None,
    everything: Annotated[bool, typer.Option("--all", help="Those too that have ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many entries.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what waits: how many of each reason and cause, and the last seen ones."""
    chosen = filters(reason, event_type, status, older_than, source)
    chosen = chosen if everything else waiting(chosen)
    with opened(ctx) as context:
        search = DeadLetterSearch(context.shared.database[DEAD_LETTERS])
        groups = search.causes(chosen, _MOST_GROUPS)
        entries = context.shared.dead_letters.rows(chosen, limit)
        masks = context.masks("dlq list", [], reveal=False)
    if as_json:
        print_json({"groups": groups, "entries": [brief(entry, masks) for entry in entries]})
        return
    out = console()
    if not groups:
        narrowed = filters(reason, event_type, status, older_than, source)
        out.print("No dead letters " + ("match." if narrowed or everything else "wait."))
        return
    print_lines(
        ("entries", "reason", "status", "oldest", "cause"),
        [
            (each["count"], each["reason"], each["status"], each["oldest"], each["cause"])
            for each in groups[:_SHOWN_GROUPS]
        ],
    )
    if len(groups) > _SHOWN_GROUPS:
        out.print(f"and {len(groups) - _SHOWN_GROUPS:,} causes more: --json lists them")
    out.print()
    # Where all came by the main source nothing tells it; nor the status, where only one is wanted.
    told = any(entry.get("source") for entry in entries)
    print_lines(
        ("id", "last seen", "seen", *["source"] * told, "reason", "status", "type"),
        [
            (
                short_id(entry["_id"]),
                entry.get("last_seen"),
                entry.get("seen"),
                *[entry.get("source", MAIN)] * told,
                entry["reason"],
                entry.get("status"),
                entry.get("event_type"),
            )
            for entry in entries
        ],
    )
    count = sum(each["count"] for each in groups)
    if count > len(entries):
        out.print(f"The last seen {len(entries):,} of {count:,}: --limit shows more.")
