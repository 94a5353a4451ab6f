"""`dlq discard` and `dlq export`: end entries that nobody needs, or take their bodies elsewhere."""

from __future__ import annotations

import codecs
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from consumer.cli.bodies import STDIN
from consumer.cli.console import console, error_console, print_json
from consumer.cli.context import AsJson
from consumer.cli.dlq.entries import (
    Context,
    EntryIds,
    Everything,
    OlderThan,
    Reason,
    Status,
    filters,
    found,
    one,
    opened,
    print_choice,
    waiting,
)
from consumer.cli.options import DryRun, EventType, FromSource, Yes, confirmed
from consumer.cli.reveal import Reveal
from consumer.core.clock import utc_now
from consumer.core.delivery import MAIN
from consumer.core.errors import SetupError
from consumer.dead_letters.views import masked_body
from consumer.privacy.masks import MaskedBody
from consumer.privacy.rules import Redaction

_MAX_BECAUSE = 1000


def discard(
    ctx: typer.Context,
    entry_ids: EntryIds = None,
    *,
    because: Annotated[str, typer.Option(help="Why; kept with the entry and in the audit.")],
    reason: Reason = None,
    event_type: EventType = None,
    status: Status = None,
    older_than: OlderThan = None,
    source: FromSource = None,
    everything: Everything = False,
    and_copies: Annotated[
        bool, typer.Option("--and-copies", help="Discard further copies of the same bodies too.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """End entries that need no retry. They are deleted CXONE_DEAD_LETTER_RETENTION_DAYS later.

    Without ids it counts those that wait and are chosen, and asks. Another copy of the same body
    opens its entry again; with --and-copies it is only counted.

    Exit status: 0 all are discarded, 1 some had ended, were being tried, or were not to be.
    """
    if not because.strip():
        raise typer.BadParameter("--because must say why")
    because = because[:_MAX_BECAUSE]
    chosen = filters(reason, event_type, status, older_than, source)
    if not entry_ids and not chosen and not everything:
        raise typer.BadParameter("give ids, --all, or a filter like --reason REASON")
    with opened(ctx) as context:
        chosen_ones = found(context, entry_ids or [], chosen)
        if dry_run:
            print_choice(chosen_ones, "discarded", as_json=as_json)
            return 0
        ids = [_id for _id, _ in chosen_ones]
        if not confirmed(f"Discard {len(ids):,} entries?", yes=yes or not ids or bool(entry_ids)):
            error_console().print("Nothing was discarded: --yes does it without asking.")
            return 1
        if ids:
            context.record("dlq discard", ids, because=because, and_copies=and_copies)
        claims, by = context.shared.dead_letters.claims, f"{context.who} (dlq discard)"
        done = {
            _id: claims.discard(_id, by, because, utc_now(), and_copies=and_copies) for _id in ids
        }
    if as_json:
        rows = [{"id": _id, "discarded": ended} for _id, ended in done.items()]
        print_json({"entries": rows})
        return 0 if all(done.values()) else 1
    for _id in ids if entry_ids else ():
        word = "discarded" if done[_id] else "stays: it has ended, or is being tried just now"
        console().print(f"{_id} {word}")
    if not entry_ids:
        ended = sum(done.values())
        stay = f"; {len(ids) - ended:,} had ended, or are being tried" if ended < len(ids) else ""
        console().print(f"Discarded: {ended:,}{stay}.")
    return 0 if all(done.values()) else 1


def export(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A new .jsonl file, or - for stdout.")
    ],
    *,
    reason: Reason = None,
    event_type: EventType = None,
    status: Status = None,
    older_than: OlderThan = None,
    source: FromSource = None,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> int:
    """Write bodies one a line, so that `send FILE` can post them again byte for byte.

    JSON that spans lines is written on one, which makes it another body with the same meaning; what
    is not JSON and spans lines is left out. Either is said.

    What CXONE_REDACT names is masked, which makes bodies that are not to be sent; not so with
    --reveal.

    Exit status: 0 all were written, 1 some were left out.
    """
    chosen = filters(reason, event_type, status, older_than, source)
    chosen = waiting(chosen)
    if file == STDIN and as_json:
        raise typer.BadParameter("standard output takes the bodies: leave --json out, or name FILE")
    if file != STDIN and Path(file).suffix.lower() not in (".jsonl", ".ndjson"):
        raise typer.BadParameter("FILE must end in .jsonl: by that `send` knows it")
    rewritten: list[str] = []
    left_out: list[str] = []
    hidden: list[str] = []
    sources: Counter[str] = Counter()
    with opened(ctx) as context, _opened(file) as out:
        ids = [_id for _id, _ in context.shared.dead_letters.ids(chosen)]
        masks = context.masks("dlq export", ids, reveal=reveal)
        for _id, came_by, masked in _bodies(context, ids, masks):
            body = masked.shown
            if masked.spans:
                hidden.append(_id)
            line = body if stands_alone(body) else on_one_line(body)
            if line is None:
                left_out.append(_id)
                continue
            if line is not body:
                rewritten.append(_id)
            out.write(line + b"\n")
            sources[came_by] += 1
        out.flush()
    if as_json:
        print_json(
            {
                "file": file,
                "written": sources.total(),
                "sources": dict(sources),
                "masked": hidden,
                "rewritten": rewritten,
                "left_out": left_out,
            }
        )
        return 1 if left_out else 0
    err = error_console()
    err.print(f"{sources.total()} bodies written")
    if sources.keys() - {MAIN}:
        counts = ", ".join(f"{count} of {name}" for name, count in sorted(sources.items()))
        err.print(f"By source: {counts}; `send --source NAME` those of each")
    for what, ids in (
        ("with masked values (CXONE_REDACT), not to be sent: --reveal writes them whole", hidden),
        ("on one line, which makes them other bodies with the same meaning", rewritten),
        ("left out, for they span lines and are not JSON: `dlq show` them", left_out),
    ):
        if ids:
            err.print(f"{len(ids)} {what}: {', '.join(ids[:20])}{' …' if len(ids) > 20 else ''}")
    return 1 if left_out else 0


def stands_alone(body: bytes) -> bool:
    """True for a body that `send` reads back byte for byte from a line of its own."""
    return (
        b"\n" not in body
        and not body.endswith(b"\r")
        and not body.startswith(codecs.BOM_UTF8)
        and bool(body.strip())
    )


def on_one_line(body: bytes) -> bytes | None:
    """JSON with its line breaks, which stand between its parts only, as spaces; None for others."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return None
    line = body.replace(b"\r", b" ").replace(b"\n", b" ")
    return line if stands_alone(line) else None


def _bodies(
    context: Context, ids: Sequence[str], masks: Redaction
) -> Iterator[tuple[str, str, MaskedBody]]:
    """One at a time, with its source: together they may be large."""
    for _id in ids:
        try:
            entry = one(context.shared, _id)
        except SetupError:
            continue
        # Entries about failed migrations have none.
        if entry["original_payload"]:
            yield _id, entry.get("source", MAIN), masked_body(entry, masks)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdout.buffer
        return
    try:
        # Payloads are customers' data: nobody else may read them.
        Path(name).touch(mode=0o600, exist_ok=False)
        file = Path(name).open("wb")  # noqa: SIM115 - `with` follows, past the translation
    except FileExistsError:
        raise typer.BadParameter(f"{name} is there already: name a new file") from None
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be written: {error.strerror}") from error
    with file:
        yield file
