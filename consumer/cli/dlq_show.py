"""`dlq show`: one dead letter with what is known of it, what would help, and its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import typer

from consumer.cli.console import console, print_json, safe, shown, table
from consumer.cli.dlq_entries import (
    AsJson,
    Desk,
    Entry,
    EntryId,
    brief,
    change_text,
    desk,
    masked_body,
    one,
)
from consumer.cli.reveal import Reveal, mask_note
from consumer.errors import MalformedJson, Rejected
from consumer.events import Event
from consumer.hexdump import hex_pairs
from consumer.ingest import COLLECTION_SUBJECT
from consumer.options import event_fields
from consumer.parsing import EventParser
from consumer.redaction import MaskedBody, Redaction
from consumer.repairs import repair
from consumer.storage.dead_letters import UNRESOLVED

_SHOWN_BYTES = 4096
_HEX_BYTES = 512
_ROW = 16
# Bytes shown around the place where a malformed body breaks.
_AROUND = 64


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What reading the body now says: `position` is the byte at which it breaks, `repairs` what
    `dlq repair` would do, `changes` what it would change in its schema, `held` whether the contract
    holds that; `advice` is the next step in words."""

    advice: str
    position: int | None = None
    repairs: tuple[str, ...] = ()
    changes: tuple[Entry, ...] = ()
    held: bool = False


def show(
    ctx: typer.Context, entry_id: EntryId, reveal: Reveal = False, as_json: AsJson = False
) -> None:
    """Show one entry: why it is here, what was tried, what would help, and its bytes."""
    with desk(ctx) as at:
        entry = one(at.core, entry_id)
        found = diagnosis(at, entry)
        masks = at.masks("dlq show", [entry["_id"]], reveal=reveal)
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
                "now": replace(found, changes=tuple(_changes(found.changes, entry, masks))),
                "original_payload": body.shown.decode("latin-1"),
                "masked": mask_note(body) or None,
            }
        )
        return
    out = console()
    rows = [(name, value) for name, value in facts.items() if value is not None]
    rows += [(f"header {name}", value) for name, value in entry["headers"].items()]
    out.print(table(("field", "value"), rows, title=f"Dead letter {entry['_id']}"))
    for attempt in entry["history"]:
        out.print(safe(_attempt(attempt)), soft_wrap=True)
    for change in entry.get("changes") or []:
        out.print(safe(f"held for: {change_text(change)}"), soft_wrap=True)
    for change in found.changes:
        word = "would be held for" if found.held else "would change"
        out.print(safe(f"{word}: {change_text(change)}"), soft_wrap=True)
    if entry["status"] in UNRESOLVED:
        out.print(safe(f"now: {found.advice}"), soft_wrap=True)
    # The payload comes from outside: what it holds must not reach the terminal as commands.
    for line in _views(body, found.position):
        out.print(safe(line), soft_wrap=True)
    if note := mask_note(body):
        out.print(note, soft_wrap=True)


def _changes(changes: Iterable[Entry], entry: Entry, masks: Redaction) -> list[Entry]:
    """Changes as stored, without the id of the event that causes them where ids are masked."""
    kind = entry.get("event_type")
    return [{**each, "caused_by": masks.event_id(each.get("caused_by"), kind)} for each in changes]


def diagnosis(at: Desk, entry: Entry) -> Diagnosis:
    """What the entry's body would come to now, without storing or registering anything."""
    body = bytes(entry.get("edited_payload") or entry["original_payload"])
    if not body:
        return Diagnosis("its document is stored; next: `cxone-consumer schema backfill`")
    parser = EventParser(event_fields(at.settings), at.settings.cxone_store_max_depth)
    try:
        event = parser.parse(body)
    except MalformedJson as error:
        return _malformed(parser, body, entry["_id"], error)
    except Rejected as error:
        return Diagnosis(f"{error}; next: `cxone-consumer dlq edit {entry['_id']}`")
    found = _in_schema(at, event)
    if entry.get("verdict") or found.held:
        return found
    return replace(found, advice=f"its signature is verified again first; {found.advice}")


def _malformed(parser: EventParser, body: bytes, entry_id: str, error: MalformedJson) -> Diagnosis:
    repaired = repair(body, safe_only=False)
    if repaired and not _refused(parser, repaired.body):
        advice = f"{error}; next: `cxone-consumer dlq repair {entry_id}`"
        return Diagnosis(advice, error.position, repaired.names)
    advice = f"{error}; no repair is known; next: `cxone-consumer dlq edit {entry_id}`"
    return Diagnosis(advice, error.position)


def _in_schema(at: Desk, event: Event) -> Diagnosis:
    """What an event would change, and whether its contract lets it."""
    one_schema = at.settings.cxone_schema_scope == "collection"
    subject = COLLECTION_SUBJECT if one_schema else event.type
    draft = at.core.registry.draft(subject, by_hand=True)
    held = bool(draft.judge(event.payload).held)
    draft.approve(event.payload, event.id)
    changes = tuple(change.to_document() for change in draft.changes)
    if draft.head is None:
        # A first version is everything at once, and never held.
        return Diagnosis(f"would be version 1 of schema {subject!r}; next: `dlq retry`")
    if held:
        advice = f"the contract of schema {subject!r} holds it; next: approve it, or let it evolve"
        return Diagnosis(advice, changes=changes, held=True)
    return Diagnosis("it can be read; next: `dlq retry`", changes=changes)


def _refused(parser: EventParser, body: bytes) -> bool:
    try:
        parser.parse(body)
    except Rejected:
        return True
    return False


def _attempt(attempt: dict[str, Any]) -> str:
    repairs = f" with {', '.join(attempt['repairs'])}" if attempt.get("repairs") else ""
    error = f" ({attempt['error']})" if attempt.get("error") else ""
    return f"{shown(attempt['at'])}  {attempt['by']}{repairs}: {attempt['result']}{error}"


def _views(body: MaskedBody, position: int | None) -> Iterator[str]:
    """The body as pretty JSON where it is JSON, raw, and in hex around the fault or the start."""
    shown = body.shown
    pretty = _pretty(shown)
    if pretty is not None and pretty.encode() != shown:
        yield "Body as JSON:"
        yield _cut(pretty)
    yield f"Body, {len(body.raw)} bytes:"
    yield _cut(shown[: _SHOWN_BYTES + 1].decode("utf-8", "backslashreplace"))
    start = 0
    if position is not None and position > _HEX_BYTES - _AROUND:
        start = (position - _AROUND) // _ROW * _ROW
    yield f"In hex from byte {start}" + ("" if position is None else f", it breaks at {position}:")
    yield from hex_rows(body, start, _HEX_BYTES)


def hex_rows(body: MaskedBody, start: int, count: int) -> Iterator[str]:
    """Rows of 16 bytes: offset, hex, and ASCII with a dot for all else, a star for masked bytes."""
    for offset in range(start, min(len(body.raw), start + count), _ROW):
        row = body.raw[offset : offset + _ROW]
        masks = body.hidden(offset, offset + _ROW)
        text = "".join(
            "*" if masked else chr(byte) if 32 <= byte < 127 else "."
            for byte, masked in zip(row, masks, strict=True)
        )
        pairs = hex_pairs(body.raw, offset, offset + _ROW, body.hidden)
        yield f"{offset:06x}  {pairs:<{_ROW * 3 - 1}}  {text}"


def _pretty(body: bytes) -> str | None:
    try:
        # The formatter copies every token, so that no number is altered on the way.
        return msgspec.json.format(body, indent=2).decode("utf-8", "backslashreplace")
    except (msgspec.DecodeError, RecursionError):
        return None


def _cut(text: str) -> str:
    more = len(text) - _SHOWN_BYTES
    return text if more <= 0 else f"{text[:_SHOWN_BYTES]}\n… and more"
