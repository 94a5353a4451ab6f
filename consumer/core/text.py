"""Text for people: times and sizes, control characters made harmless, bytes in hex."""

from __future__ import annotations

import re
from collections.abc import Callable


def duration(seconds: float) -> str:
    """A time span as people say it: `0.3 s`, `42 s`, `5 min`, `3 h`, `12 d`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, length, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def size(count: float) -> str:
    """Bytes as people say them: `512 B`, `1.5 KiB`, `64.0 MiB`."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} GiB"


# C0 and C1 controls (an escape sequence in an event type could rewrite the screen), bidirectional
# overrides, line separators and lone surrogates; a line feed stays.
_UNPRINTABLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def safe(text: str) -> str:
    """Text from outside with its control characters written out, as in `\\x1b`: a terminal or a
    page would take them for more than text."""
    return _UNPRINTABLE.sub(lambda found: ascii(found.group())[1:-1], text)


# Of each byte from one offset to another whether it is masked.
Hidden = Callable[[int, int], list[bool]]

_AROUND = 32


def hexdump(body: bytes, position: int | None, head: int, hidden: Hidden | None = None) -> str:
    """The first `head` bytes and 32 around `position` (a byte offset), as `offset: hex` parts; a
    byte that is `hidden` is `**`.

    These are the sole payload bytes that may reach the log, to tell where a malformed body breaks.
    Hex alone, without an ASCII column: a log line cannot be forged, nor read by accident.
    """
    parts = [_run(body, 0, head, hidden)]
    if position is not None:
        start = max(0, position - _AROUND // 2)
        if start + _AROUND > head and head < len(body):
            parts.append(_run(body, start, start + _AROUND, hidden))
        parts.append(f"fault at byte {position} of {len(body)}")
    return " | ".join(parts)


def hex_pairs(body: bytes, start: int, end: int, hidden: Hidden | None) -> str:
    """The bytes of a range as `7b 22 **`, masked ones without their value."""
    shown = body[start:end]
    if hidden is None:
        return shown.hex(" ")
    masks = hidden(start, start + len(shown))
    return " ".join("**" if m else f"{b:02x}" for b, m in zip(shown, masks, strict=True))


def _run(body: bytes, start: int, end: int, hidden: Hidden | None) -> str:
    return f"{start:06x}: {hex_pairs(body, start, end, hidden)}"
