"""Read and bound what mongod writes about itself."""

from __future__ import annotations

import json
from pathlib import Path

LIMIT = 10 * 1024 * 1024  # bytes; with the one older file kept, twice that at most
_TAIL = 64 * 1024
_LINES = 4
_WIDTH = 300


def size(log: Path) -> int:
    """Bytes; 0 where there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def prune(log: Path) -> None:
    """Keep one rotated file of `log` (mongod names them with a date) and delete the older ones."""
    rotated = sorted(log.parent.glob(f"{log.name}.*"), key=lambda file: file.stat().st_mtime)
    for file in rotated[:-1]:
        file.unlink(missing_ok=True)


def rotate_at_start(log: Path) -> None:
    """Move a log that is too long aside; only while no mongod has it open."""
    if size(log) > LIMIT:
        log.replace(log.with_name(f"{log.name}.1"))
        prune(log)


def faults(log: Path, output: Path, since: int) -> str:
    """The last errors of this start in a few words, without what clients sent.

    `since` is the length of the log before it; `output` is what was printed before logging began.
    mongod logs one JSON object a line: `s` is E or F for what went wrong.
    """
    lines = [*_lines(output, 0), *_lines(log, since)]
    entries = [_read(line) for line in lines]
    grave = [text for severity, text in entries if severity in {"E", "F", ""}]
    return "; ".join(grave[-_LINES:]) or "it wrote no error"


def _lines(file: Path, since: int) -> list[str]:
    try:
        start = max(since, size(file) - _TAIL)
        with file.open("rb") as text:
            text.seek(start)
            if start > since:
                text.readline()  # begins in the middle
            lines = text.read(_TAIL).decode(errors="replace").splitlines()
            return [line for line in lines if line.strip()]
    except OSError:
        return []


def _read(line: str) -> tuple[str, str]:
    """Severity and text of a line; severity "" where it is not mongod's JSON."""
    try:
        entry = json.loads(line)
        detail = entry.get("attr", {}).get("error", "")
        if isinstance(detail, dict):
            detail = detail.get("errmsg", "")
        text = f"{entry['msg']}: {detail}" if detail else str(entry["msg"])
        return str(entry["s"]), " ".join(text.split())[:_WIDTH]
    except (ValueError, KeyError, AttributeError, TypeError):
        return "", line.strip()[:_WIDTH]
