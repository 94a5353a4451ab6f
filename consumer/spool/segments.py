"""Segments, the files of a spool, each drained up to a cursor; writer and reader share a chain of
them.
"""

from __future__ import annotations

import re
import secrets
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

import structlog

from consumer.core.errors import SetupError
from consumer.spool.files import Files
from consumer.spool.frames import (
    HEADER_BYTES,
    MARKER_BYTES,
    MAX_PAYLOAD,
    Frame,
    Gap,
    header,
    leading,
    walk,
)
from consumer.spool.records import moment

log = structlog.get_logger(__name__)

_NAME = re.compile(r"(\d{10})-([0-9a-f]{16})\.spool")
_CURSOR = struct.Struct("<8sQ")
_CHECK = struct.Struct("<I")
# Read at once; any record fits in.
WINDOW = 2 * MAX_PAYLOAD


@dataclass(slots=True, eq=False)
class Segment:
    """One file, drained up to `cursor` and durable up to `end`; `depth` records lie between.

    `passed` maps where drained records and gaps beyond the cursor begin to where they end. The
    marker is random: no cursor and no record of a former file is ever taken for one of this.
    """

    path: Path
    number: int
    marker: bytes
    end: int = 0
    cursor: int = 0
    depth: int = 0
    passed: dict[int, int] = field(default_factory=dict)

    @property
    def drained(self) -> bool:
        return self.cursor >= self.end

    def pass_over(self, offset: int, end: int) -> None:
        """Do not read again from `offset` to `end`."""
        self.passed[offset] = end
        while self.cursor in self.passed:
            self.cursor = self.passed.pop(self.cursor)


def new_segment(directory: Path, number: int) -> Segment:
    marker = secrets.token_bytes(MARKER_BYTES)
    return Segment(directory / f"{number:010d}-{marker.hex()}.spool", number, marker)


def segments(files: Files, directory: Path) -> list[Segment]:
    """The segments in a directory, oldest first, with their records counted; raises OSError."""
    found = []
    for match in map(_NAME.fullmatch, sorted(files.names(directory))):
        if match is None:
            continue
        segment = Segment(directory / match[0], int(match[1]), bytes.fromhex(match[2]))
        try:
            segment.end = files.size(segment.path)
            segment.cursor = min(_load_cursor(files, segment), segment.end)
            segment.depth = _count(files, segment)
        except FileNotFoundError:
            # Whoever owns the directory has drained it meanwhile.
            continue
        found.append(segment)
    return found


def _count(files: Files, segment: Segment) -> int:
    """Number of records that wait. Where headers suffice, payloads are not looked at, for a start
    must be fast."""
    at, end, count = segment.cursor, segment.end, 0
    while at < end:
        data = files.read(segment.path, at, min(end - at, WINDOW))
        records, covered = leading(segment.marker, data)
        if not records:
            return sum(isinstance(part, Frame) for part in parts(files, segment))
        count += records
        at += covered
    return count


def parts(files: Files, segment: Segment, begin: int = 0) -> Iterator[Frame | Gap]:
    """Records and gaps between cursor, or `begin`, and end that are not passed, in order; raises
    OSError."""
    at, end = max(segment.cursor, begin), segment.end
    while at < end:
        data = files.read(segment.path, at, min(end - at, WINDOW))
        reached = at
        for part in walk(segment.marker, data, at, whole=at + len(data) >= end or not data):
            reached = part.end
            if part.offset not in segment.passed:
                yield part
        if reached == at:
            # Shorter than it was: nothing is left to read.
            return
        at = reached


def oldest(files: Files, found: list[Segment]) -> datetime | None:
    """The time at which the first record that waits was received, as far as that can be read."""
    segment = next((one for one in found if not one.drained), None)
    if segment is None:
        return None
    try:
        known = header(segment.marker, files.read(segment.path, segment.cursor, HEADER_BYTES), 0)
    except OSError:
        return None
    return moment(known[1]) if known else None


def remove_orphans(files: Files, directory: Path, found: list[Segment]) -> None:
    """Remove cursors whose segment is gone, and drafts of cursors; raises OSError. One that is in
    use harms nobody until the next start."""
    stems = {segment.path.stem for segment in found}
    for name in files.names(directory):
        path = directory / name
        if path.suffix == ".new" or (path.suffix == ".done" and path.stem not in stems):
            try:
                files.remove(path)
            except OSError as error:
                if not files.in_use(error):
                    raise


def cursor_path(segment: Segment) -> Path:
    return segment.path.with_suffix(".done")


def save_cursor(files: Files, segment: Segment) -> None:
    """Write down how far it is drained. Not synced: a lost cursor costs duplicates, no delivery."""
    record = _CURSOR.pack(segment.marker, segment.cursor)
    files.replace(cursor_path(segment), record + _CHECK.pack(zlib.crc32(record)))


def _load_cursor(files: Files, segment: Segment) -> int:
    try:
        data = files.read(cursor_path(segment), 0, 64)
    except FileNotFoundError:
        return 0
    if len(data) != _CURSOR.size + _CHECK.size:
        return 0
    marker, cursor = _CURSOR.unpack_from(data)
    (check,) = _CHECK.unpack_from(data, _CURSOR.size)
    intact = marker == segment.marker and check == zlib.crc32(data[: _CURSOR.size])
    return int(cursor) if intact else 0


# Seconds for which a stop waits for a write to the disk.
_SOON = 2.0
# Seconds for which opening waits for files that are in use, and between two attempts.
_LONGEST_USE = 60.0
_AGAIN = 1.0


class Chain:
    """The segments of a directory that this process owns, oldest first; raises SetupError where
    it cannot be opened, after a while where its files are in use.

    Whoever writes to a segment, counts, adds or removes one holds `changing`.
    """

    def __init__(self, directory: Path, files: Files) -> None:
        self.directory = directory
        self.files = files
        self.changing = threading.Lock()
        ends = monotonic() + _LONGEST_USE
        while (found := self._open(last=monotonic() > ends)) is None:
            sleep(_AGAIN)
        self._segments = found

    def _open(self, *, last: bool) -> list[Segment] | None:
        """The segments there are; None where a file is in use, unless this is the `last` try."""
        try:
            self.files.make_directory(self.directory)
            found = segments(self.files, self.directory)
            remove_orphans(self.files, self.directory, found)
        except OSError as error:
            in_use = self.files.in_use(error)
            if in_use and not last:
                log.warning("a file of the spool is in use", file=error.filename)
                return None
            others = " and no other program hold its files" if in_use else ""
            raise SetupError(
                f"the spool in {self.directory} cannot be opened ({error.strerror}): let the user"
                f" this program runs as read and write it{others}"
            ) from error
        return found

    @property
    def depth(self) -> int:
        """Number of deliveries that wait."""
        return sum(segment.depth for segment in self.segments())

    @property
    def size(self) -> int:
        """Bytes of all segments on the disk."""
        return sum(segment.end for segment in self.segments())

    def oldest(self) -> datetime | None:
        """The time at which the delivery that waits longest was received."""
        return oldest(self.files, self.segments())

    def segments(self) -> list[Segment]:
        """Those there are now; later changes of the list do not touch what is returned."""
        return list(self._segments)

    @contextmanager
    def changing_in_time(self) -> Iterator[bool]:
        """Hold `changing`: True; False where a disk that does not answer keeps it."""
        held = self.changing.acquire(timeout=_SOON)
        try:
            yield held
        finally:
            if held:
                self.changing.release()

    def next_number(self) -> int:
        return self._segments[-1].number + 1 if self._segments else 1

    def add(self, segment: Segment) -> None:
        self._segments.append(segment)

    def remove(self, segment: Segment) -> None:
        self._segments.remove(segment)
