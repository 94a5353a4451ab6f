"""Show where a malformed body breaks, in hex: the sole payload bytes that may reach the log."""

from __future__ import annotations

_AROUND = 32


def hexdump(body: bytes, position: int | None, head: int) -> str:
    """The first `head` bytes and 32 around `position` (a byte offset), as `offset: hex` parts.

    Hex alone, without an ASCII column: a log line cannot be forged, nor read by accident.
    """
    parts = [_run(body, 0, head)]
    if position is not None:
        start = max(0, position - _AROUND // 2)
        if start + _AROUND > head and head < len(body):
            parts.append(_run(body, start, start + _AROUND))
        parts.append(f"fault at byte {position} of {len(body)}")
    return " | ".join(parts)


def _run(body: bytes, start: int, end: int) -> str:
    return f"{start:06x}: {body[start:end].hex(' ')}"
