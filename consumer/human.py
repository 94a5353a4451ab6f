"""Say times and sizes the way people do."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """How long, as people say it: `0.3 s`, `42 s`, `5 min`, `3 h`, `12 d`."""
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
