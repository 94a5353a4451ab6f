"""Tell what `events erase` found, what it erased, and what it could not look into."""

from __future__ import annotations

from typing import Any

from rich.console import Group

from consumer.cli.console import console, error_console, print_json, table
from consumer.erasure import Erased
from consumer.storage.erasing import Found


def tell(
    found: Found,
    erased: Erased | None,
    spooled: dict[str, int],
    *,
    as_json: bool,
    shown: bool = False,
) -> None:
    """`shown`: what was found stands on the screen already, above the question."""
    if as_json:
        facts: dict[str, Any] = {
            "found": {
                "events": dict(found.subjects),
                "dead_letters": dict(found.reasons),
                "unreadable": found.unreadable,
                "more": found.more,
            },
            "erased": erased,
            "spooled": spooled,
        }
        print_json(facts)
        return
    out = console()
    if not found:
        out.print("Nothing is kept that fits.")
    elif erased is None:
        out.print(found_table(found))
        out.print("Nothing was erased: without --dry-run it would be.")
    else:
        if not shown:
            out.print(found_table(found))
        out.print(
            f"Erased: {erased.events:,} of the events, {erased.dead_letters:,} of the dead letters."
            " Adoption is counted without them."
        )
    for host, depth in sorted(spooled.items()):
        error_console().print(
            f"{depth:,} deliveries wait in the spool on {host}, unsearched:"
            " run this again once they are drained"
        )


def found_table(found: Found) -> Group:
    rows = [("events", name, count) for name, count in found.subjects.most_common()]
    rows += [("dead letters", name, count) for name, count in found.reasons.most_common()]
    title = "Found, and there is more" if found.more else "Found"
    if found.unreadable:
        title += f" (dead letters that cannot be read, but have the value: {found.unreadable:,})"
    return table(("what", "type or reason", "count"), rows, title=title)
