"""Show what broke the readers of a subject, as tables for people and documents for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console

from consumer.cli.console import fits, shown, table
from consumer.core.paths import Path, to_text
from consumer.core.text import safe
from consumer.schemas.json_types import bits

if TYPE_CHECKING:
    from consumer.readers.pins import Pin
    from consumer.readers.verdicts import Breach

_SHOWN = 50
_COLUMNS = ("reader", "path", "knows", "gets")


def types_text(mask: int) -> str:
    """`integer | string`; `null` where only null was seen so far."""
    return " | ".join(bits(mask)) or "null"


def types(breach: Breach) -> tuple[str, str]:
    """The types that the reader knows, and those that it gets."""
    change = breach.change
    if breach.is_lost:
        return "unknown", "its version is lost: pin it again"
    gets = f"nothing ({change.kind})" if breach.is_end else types_text(change.after)
    return types_text(change.before or 0), gets


def print_breaches(out: Console, breaches: Sequence[Breach]) -> None:
    """One table with the version that broke a reader and its first event; where that is too wide,
    one for each version. Says nothing where nobody is broken."""
    if not breaches:
        return
    # Signals last.
    most = sorted(breaches, key=lambda each: each.since or sys.maxsize)[:_SHOWN]
    whole = table(
        (*_COLUMNS, "since", "first event"),
        [(*_row(each), each.since or each.at, each.first_event) for each in most],
        title="Breaks",
    )
    if fits(out, whole):
        out.print(whole)
    else:
        for cause, alike in groupby(most, _cause):
            out.print("", *map(safe, cause.splitlines()), sep="\n", soft_wrap=True)
            out.print(table(_COLUMNS, map(_row, alike)))
    if len(breaches) > _SHOWN:
        out.print(f"{len(breaches):,} in all: --json shows every one")


def breach_document(breach: Breach) -> dict[str, Any]:
    """A breach for programs: its path as segments and as text."""
    path: Path = breach.path
    return {
        "reader": breach.reader,
        "version": breach.version,
        "class": breach.change.kind,
        "path": list(path),
        "text": to_text(path),
        "from": list(bits(breach.change.before or 0)),
        "to": list(bits(breach.change.after)),
        "since": breach.since,
        "at": breach.at,
        "first_event": breach.first_event,
    }


def reader_documents(pins: Iterable[Pin], breaches: Sequence[Breach]) -> list[dict[str, Any]]:
    """The readers of a subject for programs, each with what broke it."""
    return [
        {
            "reader": pin.reader,
            "version": pin.version,
            "breaches": [breach_document(each) for each in breaches if each.reader == pin.reader],
        }
        for pin in pins
    ]


def print_readers(out: Console, pins: Sequence[Pin], breaches: Sequence[Breach]) -> None:
    """The readers of a subject with their versions, and below them what broke them."""
    if not pins:
        return
    rows = [(pin.reader, pin.version, _broken(pin, breaches)) for pin in pins]
    out.print(table(("reader", "version", "broken"), rows, title="Readers"))
    print_breaches(out, breaches)


def _broken(pin: Pin, breaches: Iterable[Breach]) -> str:
    own = [each for each in breaches if each.reader == pin.reader]
    if not own:
        return "no"
    if any(each.is_lost for each in own):
        return "its version is lost: pin it again"
    paths = len({each.path for each in own})
    versions = [each.since for each in own if each.since]
    times = [each.at for each in own if each.at]
    since = f"version {min(versions)}" if versions else shown(min(times, default=None))
    return f"{paths} field{'s' * (paths > 1)} since {since}"


def _cause(breach: Breach) -> str:
    if breach.is_lost:
        return "Its version is lost: nobody can tell what breaks it"
    if breach.since is None:
        return f"Comes no more since {shown(breach.at)}"
    # On a line of its own: it is nearly as long as a terminal is wide.
    first = f"\nfirst event {breach.first_event}" if breach.first_event else ""
    return f"Version {breach.since} breaks{first}"


def _row(breach: Breach) -> tuple[object, ...]:
    """The cells under _COLUMNS."""
    reader = f"{breach.reader}@{breach.version}"
    return (reader, to_text(breach.path) or "all", *types(breach))
