"""Make any value fit for a log line: bounded, and unable to forge a line or move a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice

MAX_TEXT = 4096
_MAX_ITEMS = 50
_MAX_NESTING = 4
# C0 and C1 controls, line separators, direction overrides, and halves of surrogate pairs.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def clean(value: object, nesting: int = _MAX_NESTING) -> object:
    """The value as JSON can hold it: numbers, booleans and None as they are, all else as text."""
    kind = type(value)
    if kind is str:
        return clean_text(value)  # type: ignore[arg-type]
    if value is None or kind is bool or kind is float:
        return value
    if kind is int:
        return value if value.bit_length() < 64 else f"integer of {value.bit_length()} bits"  # type: ignore[attr-defined]
    if nesting and isinstance(value, Mapping):
        pairs = islice(value.items(), _MAX_ITEMS)
        return {clean_text(str(key)): clean(item, nesting - 1) for key, item in pairs}
    if nesting and isinstance(value, list | tuple | set | frozenset):
        return [clean(item, nesting - 1) for item in islice(value, _MAX_ITEMS)]
    return clean_text(_as_text(value))


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    return _UNSAFE.sub(_escape, text) if _UNSAFE.search(text) else text


def clean_lines(text: str, limit: int = 4 * MAX_TEXT) -> str:
    """The same for a traceback: its lines stay, of a long one begin and end."""
    if len(text) > limit:
        text = f"{text[: limit // 2]}\n…\n{text[-limit // 2 :]}"
    return "\n".join(clean_text(line) for line in text.split("\n"))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def _as_text(value: object) -> str:
    try:
        return value.hex(" ") if isinstance(value, bytes) else str(value)
    except Exception:
        # Logging never fails a request, whatever it was handed.
        return f"<{type(value).__name__}>"
