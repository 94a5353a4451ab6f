"""`dlq list`: the dead letters that wait, by cause and one by one."""

from __future__ import annotations

from datetime import datetime
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
)
from consumer.cli.options import EventType, FromSource
from consumer.core.clock import utc_now
from consumer.core.delivery import MAIN
from consumer.core.text import duration
from consumer.dead_letters.retry import STATUSES, UNRESOLVED

_SHOWN_GROUPS = 20
# Entries that are grouped by what they say.
_MOST_GROUPED = 100_000


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
    from consumer.dead_letters.search import DeadLetterSearch
    from consumer.mongodb.client import DEAD_LETTERS

    chosen = filters(event_type=event_type, older_than=older_than, source=source)
    with opened(ctx) as context:
        search = DeadLetterSearch(context.shared.database[DEAD_LETTERS])
        statuses = (status,) if status else STATUSES if everything else UNRESOLVED
        groups = [
            (name, state)
            for name, state, _, _ in context.shared.dead_letters.depths()
            if reason in (None, name) and state in statuses
        ]
        causes = search.causes(chosen, groups, _MOST_GROUPED)
        entries = search.newest(chosen, groups, limit)
        masks = context.masks("dlq list", [], reveal=False)
    causes.sort(key=lambda cause: -len(cause.ids))
    count = sum(len(cause.ids) for cause in causes)
    is_cut = count >= _MOST_GROUPED
    if as_json:
        of_causes = [
            {
                "reason": each.reason,
                "status": each.status,
                "cause": each.message,
                "count": len(each.ids),
                "seen": each.seen,
                "oldest": each.oldest,
                "newest": each.newest,
            }
            for each in causes
        ]
        listed = [brief(entry, masks) for entry in entries]
        print_json({"groups": of_causes, "grouped": count, "cut": is_cut, "entries": listed})
        return
    out = console()
    if not causes:
        narrowed = chosen or reason or status or everything
        out.print("No dead letters " + ("match." if narrowed else "wait."))
        return
    # Spans of time and not points, that a line of 80 columns has room for cause and type.
    now = utc_now()
    print_lines(
        ("entries", "oldest", "reason", "status", "cause"),
        [
            (len(each.ids), _age(now, each.oldest), each.reason, each.status, each.message)
            for each in causes[:_SHOWN_GROUPS]
        ],
    )
    if len(causes) > _SHOWN_GROUPS:
        out.print(f"and {len(causes) - _SHOWN_GROUPS:,} causes more: --json lists them")
    if is_cut:
        out.print(f"Of what fits, the {_MOST_GROUPED:,} last seen are grouped.")
    out.print()
    # Where all came by the main source nothing tells it; nor the status, where only one is wanted.
    told = any(entry.get("source") for entry in entries)
    print_lines(
        ("id", "last seen", "seen", *["source"] * told, "reason", "type", "status"),
        [
            (
                short_id(entry["_id"]),
                _age(now, entry.get("last_seen")),
                entry.get("seen"),
                *[entry.get("source", MAIN)] * told,
                entry["reason"],
                entry.get("event_type"),
                entry.get("status"),
            )
            for entry in entries
        ],
    )
    if count > len(entries):
        more = " or more" if is_cut else ""
        out.print(f"The last seen {len(entries):,} of {count:,}{more}: --limit shows more.")


def _age(now: datetime, then: datetime | None) -> str | None:
    return None if then is None else f"{duration(max(0.0, (now - then).total_seconds()))} ago"
