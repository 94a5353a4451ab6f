"""Options that mean the same in every command, and the questions before a deed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from consumer.core.errors import SetupError

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what it would do.")]
EventType = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Only events of this type.")
]
FromSource = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="Only what came by this source; main is one."),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Not before: 2026-01-31T12:00Z, or 30m, 12h, 7d ago."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Not after, written likewise.")]

# So many of what begins alike are named.
CANDIDATES = 10
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask whether to go on, unless `yes` was said; False where nobody can answer."""
    if yes:
        return True
    stdin = typer.get_text_stream("stdin")
    return stdin.isatty() and typer.confirm(question, default=False, err=True)


def ambiguous(what: str, prefix: str, found: Sequence[str]) -> SetupError:
    """The error for a beginning that several have."""
    more = ["and more"] if len(found) > CANDIDATES else []
    listed = "\n".join(f"  {each.rstrip()}" for each in [*found[:CANDIDATES], *more])
    return SetupError(f"more than one {what} begins with {prefix!r}:\n{listed}")


def moment(text: str, now: datetime, option: str) -> datetime:
    """A time: ISO 8601, in UTC where it says nothing else, or so long ago: `90` (seconds), `30m`,
    `12h`, `7d`; raises typer.BadParameter."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "s")
    try:
        if number.isascii() and number.isdecimal() and len(number) <= 9:
            return now - timedelta(seconds=int(number) * _UNITS[unit])
        # Python 3.10 does not read a Z.
        found = datetime.fromisoformat(re.sub(r"[Zz]\Z", "+00:00", text))
        utc = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
        return utc.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time: write it like 2026-01-31T12:00Z, or 30m, 12h, 7d ago",
            param_hint=option,
        ) from None
