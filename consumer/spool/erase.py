"""Take one person's deliveries out of a spool, and out of the damage set aside from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from consumer.core.delivery import Delivery
from consumer.core.errors import SetupError
from consumer.spool.files import Files
from consumer.spool.frames import Frame, frame
from consumer.spool.reader import DIRECTORY, set_aside
from consumer.spool.records import UnknownRecord, decode
from consumer.spool.segments import Segment, cursor_path, new_segment, parts, segments

Fits = Callable[[Delivery], bool]


def erase_deliveries(directory: Path, fits: Fits, files: Files | None = None) -> int:
    """Remove the deliveries that fit from a spool that nobody has open; how many waited. Those that
    were drained are gone from its files too. Raises SetupError."""
    files = files or Files()
    try:
        return sum(_erase(files, each, fits) for each in segments(files, directory))
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise SetupError(
            f"the spool in {directory} cannot be rewritten ({error.strerror}): run this as the user"
            " of the service"
        ) from error


def _erase(files: Files, segment: Segment, fits: Fits) -> int:
    """Put a new segment in the place of one that holds what fits.

    It has a marker of its own, so that no cursor of the old one can be taken for its own. A crash
    leaves the old one whole, or both: then deliveries are duplicates.
    """
    all_of_it = Segment(segment.path, segment.number, segment.marker, segment.end)
    if not any(
        isinstance(part, Frame) and _is_theirs(part, fits) for part in parts(files, all_of_it)
    ):
        return 0
    fresh = new_segment(segment.path.parent, segment.number)
    gone, kept = 0, []
    for part in parts(files, segment):
        if isinstance(part, Frame) and _is_theirs(part, fits):
            gone += 1
        elif isinstance(part, Frame):
            kept.append(frame(fresh.marker, part.micros, part.payload))
        elif not part.unfinished:
            set_aside(files, segment.path, part.offset, part.end)
    if kept:
        draft = fresh.path.with_suffix(".new")
        appender = files.create(draft)
        try:
            appender.write(b"".join(kept))
            appender.sync()
        finally:
            appender.close()
        files.rename(draft, fresh.path)
        files.sync_directory(fresh.path.parent)
    # The cursor last: a segment without it would be replayed.
    files.remove(segment.path)
    files.remove(cursor_path(segment))
    files.sync_directory(segment.path.parent)
    return gone


def _is_theirs(part: Frame, fits: Fits) -> bool:
    try:
        return fits(decode(part.payload))
    except UnknownRecord:
        return False


def erase_set_aside(
    directory: Path, fits: Callable[[bytes], bool], *, remove: bool
) -> tuple[int, int]:
    """Count the records that were set aside and fit, removed if so wanted, and those that do not,
    as far as damage can be read. Raises SetupError."""
    files = Files()
    damaged = directory / DIRECTORY
    theirs = others = 0
    try:
        for name in files.names(damaged):
            path = damaged / name
            if not fits(files.read(path, 0, files.size(path))):
                others += 1
                continue
            theirs += 1
            if remove:
                files.remove(path)
        if theirs and remove:
            files.sync_directory(damaged)
    except FileNotFoundError:
        return theirs, others
    except OSError as error:
        raise SetupError(
            f"{damaged} cannot be read ({error.strerror}): run this as the user of the service"
        ) from error
    return theirs, others
