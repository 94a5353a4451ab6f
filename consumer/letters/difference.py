"""Show what is different between two bodies, in few lines even where each is one long line."""

from __future__ import annotations

import difflib
import re

from consumer.printable import safe

# JSON on one line falls into its members; line feeds stay visible.
_PIECE = re.compile(rb"[^,{}\[\]\n]*(?:[,{}\[\]\n]|\Z)")
# Finding the smallest difference takes time that grows with the square of what differs.
_MAX_PIECES = 2000
_MAX_LINES = 200
_MAX_WIDTH = 200


def difference(before: bytes, after: bytes) -> list[str]:
    """Lines that begin with `-` (was), `+` (is) or a space (around it), free of control characters;
    at most some 200, and the last one then says so."""
    old, new = _PIECE.findall(before), _PIECE.findall(after)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    context = slice(max(0, start - 1), start)
    left, right = old[start : len(old) - end], new[start : len(new) - end]
    lines = [" " + _shown(piece) for piece in old[context]]
    if max(len(left), len(right)) > _MAX_PIECES:
        lines += ["-" + _shown(piece) for piece in left[: _MAX_LINES // 2]]
        lines += ["+" + _shown(piece) for piece in right[: _MAX_LINES // 2]]
        return [*lines, f"… {len(left)} pieces became {len(right)}: only the first are shown"]
    found = difflib.unified_diff([_shown(p) for p in left], [_shown(p) for p in right], n=1)
    lines += [line.rstrip("\n") for line in list(found)[2:] if not line.startswith("@@")]
    if len(lines) > _MAX_LINES:
        return [*lines[:_MAX_LINES], f"… and {len(lines) - _MAX_LINES} lines more"]
    return lines


def _common(old: list[bytes], new: list[bytes]) -> int:
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _shown(piece: bytes) -> str:
    text = piece.decode("utf-8", "backslashreplace").replace("\n", "\\n")
    # The mark cannot be seen, and is often the whole difference.
    text = safe(text).replace("\ufeff", "\\ufeff")
    return text if len(text) <= _MAX_WIDTH else f"{text[:_MAX_WIDTH]}…"
