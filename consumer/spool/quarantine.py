"""Set damaged bytes of a spool aside, so that a person can look at what is left of them."""

from __future__ import annotations

from pathlib import Path

from consumer.spool.files import Files

DIRECTORY = "damaged"
# Damage that claims to be larger is cut: it must not fill the disk beside the bounded spool.
_MAX_BYTES = 8 * 1024 * 1024


def set_aside(files: Files, segment: Path, offset: int, end: int) -> Path:
    """Durably copy the bytes from `offset` to `end` of a segment; where they are now."""
    directory = segment.parent / DIRECTORY
    files.make_directory(directory)
    kept = directory / f"{segment.stem}-{offset}.bin"
    # Of an earlier attempt that a crash cut off.
    files.remove(kept)
    appender = files.create(kept)
    try:
        appender.write(files.read(segment, offset, min(end - offset, _MAX_BYTES)))
        appender.sync()
    finally:
        appender.close()
    files.sync_directory(directory)
    return kept


def set_aside_count(files: Files, spool: Path) -> int:
    """How many damaged records lie aside."""
    try:
        return len(files.names(spool / DIRECTORY))
    except FileNotFoundError:
        return 0
