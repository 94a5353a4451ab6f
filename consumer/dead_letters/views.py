"""Format a body for people, as JSON, text and hex, with its masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from consumer.core.paths import to_text
from consumer.core.text import hex_pairs
from consumer.privacy.masks import MaskedBody
from consumer.privacy.rules import Redaction

_ROW = 16
# Bytes that are shown on either side of a fault.
_AROUND = 160


def masked_body(entry: Mapping[str, Any], masks: Redaction) -> MaskedBody:
    """The body of an entry as it may be shown."""
    return masks.body(bytes(entry["original_payload"]), entry.get("event_type"))


def pretty(body: bytes) -> str | None:
    """JSON over several lines; None for what is none. Every token is copied, so that no number is
    altered on the way."""
    try:
        return msgspec.json.format(body, indent=2).decode("utf-8", "backslashreplace")
    except (msgspec.DecodeError, RecursionError):
        return None


def around(body: MaskedBody, position: int) -> tuple[str, str, str]:
    """The text in front of the byte at which a body breaks, the character there ("" at its end),
    and some of what follows, as it may be shown."""
    shown, moved = body.shown, 0
    for span in body.spans:
        if span.end <= position:
            moved += len(span.instead) - (span.end - span.start)
        elif span.start < position and len(span.instead) != span.end - span.start:
            position = span.start
    at = min(position + moved, len(shown))
    begin = shown[max(0, at - _AROUND) : at].decode("utf-8", "replace")
    rest = shown[at : at + _AROUND].decode("utf-8", "replace")
    return begin, rest[:1], rest[1:]


def raw(body: bytes, most: int) -> str:
    """A body as text, what is none written out, cut behind so many bytes."""
    return cut(body[: most + 1].decode("utf-8", "backslashreplace"), most)


def cut(text: str, most: int) -> str:
    """At most so many characters, and whether there are more."""
    return text if len(text) <= most else f"{text[:most]}\n\u2026 and more"


def hex_start(position: int | None, shown: int, around: int) -> int:
    """The first of so many bytes `shown` in hex, for the fault at `position` to be among them."""
    if position is None or position <= shown - around:
        return 0
    return (position - around) // _ROW * _ROW


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


def change_text(change: Mapping[str, Any]) -> str:
    """`type_conflict case.priority: integer -> integer | string`."""
    was = "-" if change["from"] is None else " | ".join(change["from"]) or "null"
    now = " | ".join(change["to"]) or "null"
    return f"{change['class']} {to_text(tuple(change['path']))}: {was} -> {now}"
