"""`dlq show`: one dead letter with what is known of it, what would help, and its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer
from rich.cells import cell_len

from consumer.cli.console import console, print_json, shown, table
from consumer.cli.context import AsJson
from consumer.cli.dlq.entries import Entry, EntryId, brief, one, opened
from consumer.cli.reveal import Reveal, mask_note
from consumer.core.text import safe
from consumer.dead_letters.retry import UNRESOLVED
from consumer.dead_letters.views import (
    change_text,
    cut,
    hex_rows,
    hex_start,
    masked_body,
    pretty,
    raw,
)
from consumer.privacy.masks import MaskedBody
from consumer.privacy.rules import Redaction, masked_documents

if TYPE_CHECKING:
    from consumer.dead_letters.diagnosis import Diagnosis

_SHOWN_BYTES = 4096
_HEX_BYTES = 512
# Bounds of a line, and of the list of changes, that names from outside make long.
_SHOWN_LINE = 1000
_SHOWN_CHANGES = 100
# Bytes shown around the place where a malformed body breaks.
_AROUND = 64
# Bytes of its line on either side.
_BESIDE = 36


def show(
    ctx: typer.Context, entry_id: EntryId, reveal: Reveal = False, as_json: AsJson = False
) -> None:
    """Show one entry: why it is here, what was tried, what would help, and its bytes."""
    with opened(ctx) as context:
        entry = one(context.shared, entry_id)
        found = context.inspector.diagnose(entry)
        masks = context.masks("dlq show", [entry["_id"]], reveal=reveal)
    body = masked_body(entry, masks)
    facts = brief(entry, masks)
    if as_json:
        print_json(
            {
                **facts,
                "headers": entry["headers"],
                "history": entry["history"],
                "changes": _changes(entry.get("changes") or [], entry, masks) or None,
                "repairs": entry.get("repairs"),
                "now": _now(
                    replace(found, changes=tuple(_changes(found.changes, entry, masks))),
                    entry["_id"],
                ),
                "original_payload": body.shown.decode("latin-1"),
                "masked": mask_note(body) or None,
            }
        )
        return
    out = console()
    told = facts.pop("error_message")
    rows = [(name, value) for name, value in facts.items() if value is not None]
    rows += [(f"header {name}", value) for name, value in entry["headers"].items()]
    out.print(table(("field", "value"), rows, title=f"Dead letter {entry['_id']}"))
    # The parser's whole message, and where it stopped.
    if told:
        out.print(safe(told), soft_wrap=True)
    if found.position is not None:
        out.print(caret(body, found.position), soft_wrap=True)
    lines = [_attempt(attempt) for attempt in entry["history"]]
    held = _changes(entry.get("changes") or [], entry, masks)
    lines += _change_lines("held for", held)
    word = "would be held for" if found.held else "would change"
    lines += _change_lines(word, _changes(found.changes, entry, masks))
    if entry["status"] in UNRESOLVED:
        lines.append(f"now: {_advice(found, entry['_id'])}")
    for line in lines:
        out.print(safe(cut(line, _SHOWN_LINE)), soft_wrap=True)
    # The payload comes from outside: what it holds must not reach the terminal as commands.
    for line in _views(body, found.position):
        out.print(safe(line), soft_wrap=True)
    if note := mask_note(body):
        out.print(note, soft_wrap=True)


def caret(body: MaskedBody, position: int) -> str:
    """The line of a body around the byte at `position`, a caret below it, and where that is."""
    start = max(body.raw.rfind(b"\n", 0, position) + 1, position - _BESIDE)
    end = body.raw.find(b"\n", position)
    end = min(position + _BESIDE, len(body.raw) if end < 0 else end)
    before, after = _on_one_line(body, start, position), _on_one_line(body, position, end)
    line = body.raw.count(b"\n", 0, position) + 1
    return f"{before}{after}\n{' ' * cell_len(before)}^ byte {position}, line {line}"


def _on_one_line(body: MaskedBody, start: int, end: int) -> str:
    masked = zip(body.raw[start:end], body.hidden(start, end), strict=True)
    text = bytes(ord("*") if hidden else byte for byte, hidden in masked).decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "." for each in text)


def _change_lines(word: str, changes: Sequence[Entry]) -> Iterator[str]:
    for change in changes[:_SHOWN_CHANGES]:
        yield f"{word}: {change_text(change)}"
    if len(changes) > _SHOWN_CHANGES:
        yield f"and {len(changes) - _SHOWN_CHANGES:,} changes more: --json shows all"


def _changes(changes: Iterable[Entry], entry: Entry, masks: Redaction) -> list[Entry]:
    """Changes as stored, without what is masked."""
    return masked_documents(changes, masks, entry.get("event_type"))


def _advice(found: Diagnosis, entry_id: str) -> str:
    """Say how the body reads now, and the next step."""
    following = {
        "retry": "`dlq retry`",
        "repair": f"`cxone-consumer dlq repair {entry_id}`",
        "edit": f"`cxone-consumer dlq edit {entry_id}`",
        "approve": "approve it, or let it evolve",
        "revoke": "`schema reject` lists it, and takes it back",
        "backfill": "`cxone-consumer schema backfill`",
    }
    return f"{found.says}; next: {following[found.step]}"


def _now(found: Diagnosis, entry_id: str) -> Entry:
    """The same for programs."""
    return {
        "advice": _advice(found, entry_id),
        "position": found.position,
        "repairs": found.repairs,
        "changes": found.changes,
        "held": found.held,
    }


def _attempt(attempt: dict[str, Any]) -> str:
    repairs = f" with {', '.join(attempt['repairs'])}" if attempt.get("repairs") else ""
    repairs += f" as {attempt['as_source']}" if attempt.get("as_source") else ""
    error = f" ({attempt['error']})" if attempt.get("error") else ""
    return f"{shown(attempt['at'])}  {attempt['by']}{repairs}: {attempt['result']}{error}"


def _views(body: MaskedBody, position: int | None) -> Iterator[str]:
    """The body as pretty JSON where it is JSON, raw, and in hex around the fault or the start."""
    shown = body.shown
    as_json = pretty(shown)
    if as_json is not None and as_json.encode() != shown:
        yield "Body as JSON:"
        yield cut(as_json, _SHOWN_BYTES)
    yield f"Body, {len(body.raw)} bytes:"
    yield raw(shown, _SHOWN_BYTES)
    start = hex_start(position, _HEX_BYTES, _AROUND)
    yield f"In hex from byte {start}" + ("" if position is None else f", it breaks at {position}:")
    yield from hex_rows(body, start, _HEX_BYTES)
