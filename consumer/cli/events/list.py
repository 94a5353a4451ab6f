"""`events list`: the newest events, and what comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumer.cli.console import console, print_json, print_lines, shown
from consumer.cli.context import AsJson
from consumer.cli.events.find import (
    COLUMNS,
    Found,
    Version,
    Wanted,
    Where,
    facts,
    masks_of,
    may_be_found,
    new_ones,
    newest,
    read_person,
    row,
    since_or_first,
)
from consumer.cli.options import EventType, FromSource, Since, Until, moment
from consumer.cli.reveal import Reveal
from consumer.cli.schema.shared import Context, opened
from consumer.core.clock import utc_now
from consumer.core.text import safe

if TYPE_CHECKING:
    from consumer.mongodb.client import Document

# Of what begins alike, so many are looked at; of what came meanwhile, so many are told at once.
_MOST_ALIKE = 1000
_MOST_NEW = 5000
_LOOK_EVERY = 1.0


def list_events(
    ctx: typer.Context,
    *,
    event_type: EventType = None,
    source: FromSource = None,
    version: Version = None,
    since: Since = None,
    until: Until = None,
    event_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="With this id, or one that begins so.")
    ] = None,
    where: Where = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    following: Annotated[
        str | None, typer.Option("--next", metavar="MARK", help="Go on where a page ended.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Show the newest events, one a line; every command takes the beginning of an id.

    No index tells apart what --where and --source say: such a search goes back for 20 s, and says
    how far it came. With --follow and --json each event is a line of its own.
    """
    now = utc_now()
    upto = moment(until, now, "--until") if until else None
    mark, skip = _read_mark(following) if following else (upto, 0)
    if follow and (until or following or event_id):
        raise typer.BadParameter("what comes is newest: leave --until, --next and --id out")
    with opened(ctx) as context:
        masks = masks_of(context, "events list", reveal=reveal)
        wanted = Wanted(
            event_type=event_type,
            version=version,
            source=source,
            person=read_person(context, where),
            since=since_or_first(moment(since, now, "--since") if since else None),
            until=mark,
            by_subject=context.one_subject is None,
            type_of=context.shared.sources.main.parser.type_of,
            masks=masks,
        )

        def told(events: Sequence[Document]) -> list[dict[str, Any]]:
            return [facts(each, context, masks) for each in events]

        if follow:
            _follow(context, wanted, limit, told, as_json=as_json)
        if event_id is not None:
            found = _alike(context, event_id, wanted, limit)
        else:
            found = newest(context, wanted, limit, skip)
    after = _mark(found, wanted, skip) if found.more and event_id is None else None
    looked_to = None if found.looked_to is None else found.looked_to
    if as_json:
        print_json({"events": told(found.events), "next": after, "looked_to": looked_to})
        return
    if found.events:
        print_lines(COLUMNS, [row(each) for each in told(found.events)])
    out = console()
    if not found.events and looked_to is None:
        out.print("No events match.")
    if looked_to is not None:
        out.print(f"Looked back to {shown(looked_to)}.")
    if after is not None:
        out.print(f"More: --next {after}")
    elif found.more:
        out.print(safe(f"More begin with {event_id}: give more of it."))


def _follow(context: Context, wanted: Wanted, limit: int, told: Any, *, as_json: bool) -> None:
    for number, events in enumerate(new_ones(context, wanted, _MOST_NEW)):
        # What was there before is told as a list is.
        fresh = told(events if number else events[-limit:])
        if as_json:
            for each in fresh:
                print_json(each, line=True)
        elif fresh or not number:
            print_lines(() if number else COLUMNS, [row(each) for each in fresh])
        time.sleep(_LOOK_EVERY)


def _alike(context: Context, prefix: str, wanted: Wanted, limit: int) -> Found:
    from consumer.events.search import EventSearch
    from consumer.mongodb.client import EVENTS

    search = EventSearch(context.shared.database[EVENTS])
    found = search.beginning(prefix, _MOST_ALIKE)
    fits = [
        each
        for each in found
        if may_be_found(each, prefix, context, wanted.masks)
        and wanted.event_type in (None, each["_meta"]["subject"])
        and wanted.version in (None, each.get("schema_version"))
        and wanted.source in (None, each["_meta"].get("source", "main"))
        and wanted.since <= each["processed_at"]
        and (wanted.until is None or each["processed_at"] <= wanted.until)
    ]
    if wanted.person is not None:
        whole = (search.one(each["_id"]) for each in fits)
        fits = [each for each in whole if each is not None and wanted.fits(each)]
    return Found(fits[:limit], more=len(fits) > limit or len(found) >= _MOST_ALIKE)


def _mark(found: Found, wanted: Wanted, skip: int) -> str:
    """The begin of the next page: a time, and how many of it were shown."""
    if found.looked_to is not None:
        return f"{found.looked_to.isoformat()},0"
    last = found.events[-1]["processed_at"]
    same = sum(each["processed_at"] == last for each in found.events)
    return f"{last.isoformat()},{same + (skip if wanted.until == last else 0)}"


def _read_mark(text: str) -> tuple[datetime, int]:
    at, _, skip = text.rpartition(",")
    if not (skip.isascii() and skip.isdecimal() and len(skip) < 10):
        raise typer.BadParameter("give what a page said behind `More:`", param_hint="--next")
    return moment(at, utc_now(), "--next"), int(skip)
