"""Show where a malformed body breaks, in hex: the sole payload bytes that may reach the log."""

from __future__ import annotations

from collections.abc import Callable

Hidden = Callable[[int, int], list[bool]]

_AROUND = 32


def hexdump(body: bytes, position: int | None, head: int, hidden: Hidden | None = None) -> str:
    """The first `head` bytes and 32 around `position` (a byte offset), as `offset: hex` parts.

    `hidden` says of each byte in a range whether it is masked; such a byte is `**`.

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
