"""Tell what `events erase` found, what it erased, and what it could not look into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group

from consumer.cli.console import console, error_console, print_json, table
from consumer.erasure import Erased, Place
from consumer.storage.erasing import Found


def tell(
    found: Found,
    erased: Erased | None,
    rows: Sequence[Place],
    spooled: dict[str, int],
    *,
    as_json: bool,
    deep: bool,
) -> None:
    """Tell what became of each place; `erased` is None where nothing was to be. `spooled` is what
    waits on machines that told so."""
    last = erased.left if erased else found
    rows = [
        *rows,
        *(
            Place(
                f"spool on {host}",
                "deliveries",
                depth,
                0,
                depth,
                "not searched from here",
                theirs=False,
            )
            for host, depth in sorted(spooled.items())
        ),
    ]
    if as_json:
        facts: dict[str, Any] = {
            "found": {
                "events": dict(found.subjects),
                "dead_letters": dict(found.reasons),
                "unreadable": found.by_text,
                "more": found.more,
            },
            "erased": {"events": erased.events, "dead_letters": erased.dead_letters}
            if erased
            else None,
            "spooled": spooled,
            "places": rows,
            "unread": last.unread,
            "untyped": last.untyped,
            "deep": {"documents": found.read, "seconds": round(found.seconds, 3)} if deep else None,
        }
        print_json(facts)
        return
    out = console()
    if rows:
        out.print(places_table(rows, "Found, and there is more" if found.more else ""))
    if erased is None and not any(each.theirs for each in rows):
        out.print("Nothing is kept that fits.")
    elif erased is None:
        out.print("Nothing was erased: without --dry-run it would be.")
    else:
        out.print(
            f"Erased: {erased.events:,} of the events, {erased.dead_letters:,} of the dead letters."
            " Adoption is counted without them."
        )
    for host, depth in sorted(spooled.items()):
        error_console().print(
            f"{depth:,} deliveries wait in the spool on {host}, unsearched:"
            " run this again once they are drained"
        )
    if deep:
        error_console().print(f"{found.read:,} events were read in {found.seconds:,.1f} s")
    else:
        error_console().print(
            "JSON inside strings of events was not looked into: --deep does, and reads every event"
        )


def places_table(rows: Sequence[Place], title: str = "") -> Group:
    """One row for each place and kind."""
    return table(
        ("place", "what", "found", "removed", "stays", ""),
        [(e.place, e.kind, e.found, e.removed, e.stays, e.why) for e in rows],
        title=title,
    )
