"""Take deliveries out of a spool, oldest first; set damaged bytes aside for a person to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from consumer.core.delivery import Delivery
from consumer.core.errors import StoreUnavailable
from consumer.spool.files import Files
from consumer.spool.frames import Frame, Gap
from consumer.spool.records import UnknownRecord, decode
from consumer.spool.segments import Chain, Segment, cursor_path, parts, save_cursor

log = structlog.get_logger(__name__)

# Bytes that `take` returns at most, beside one record.
_BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A delivery in the spool, and where it stands."""

    delivery: Delivery
    segment: Segment
    offset: int
    end: int


class Reader:
    """The way out, for one thread at a time. `retire` has the writer close a segment that goes."""

    def __init__(self, chain: Chain, retire: Callable[[Segment], None]) -> None:
        self._chain = chain
        self._retire = retire
        self._closed = False
        self.unreadable = 0

    def take(self, count: int, after: Entry | None = None) -> list[Entry]:
        """Up to `count` deliveries in order of arrival, of those `after` one or of all; they stay
        until they are removed.

        Damaged records on the way are set aside. Raises StoreUnavailable when the disk cannot be
        read, or a damaged record cannot be set aside.
        """
        taken: list[Entry] = []
        size = 0
        try:
            for entry in self._entries(after):
                taken.append(entry)
                size += entry.end - entry.offset
                if len(taken) >= count or size >= _BATCH_BYTES:
                    break
        except OSError as error:
            raise StoreUnavailable(
                f"the spool in {self._chain.directory} cannot be read ({error.strerror})"
            ) from error
        return taken

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget deliveries that are durable elsewhere. A crash before this is durable replays
        them once more, which finds duplicates."""
        if self._closed:
            # Whoever owns the directory now finds them there, and duplicates in MongoDB.
            return
        touched: list[Segment] = []
        for entry in entries:
            entry.segment.pass_over(entry.offset, entry.end)
            self._count_out(entry.segment)
            if entry.segment not in touched:
                touched.append(entry.segment)
        for segment in touched:
            if self._forget_if_drained(segment):
                continue
            try:
                save_cursor(self._chain.files, segment)
            except OSError as error:
                log.warning("the spool could not save its cursor", error=error.strerror)

    def close(self) -> None:
        """Change nothing on the disk from now on, whatever a drain that goes on does."""
        with self._chain.changing_in_time():
            self._closed = True

    def _entries(self, after: Entry | None) -> Iterator[Entry]:
        """Readable records behind that one, or of all segments, oldest first; raises OSError."""
        for segment in self._chain.segments():
            if after is not None and segment.number < after.segment.number:
                continue
            begin = after.end if after is not None and segment is after.segment else 0
            for part in parts(self._chain.files, segment, begin):
                entry = self._entry(segment, part)
                if entry is not None:
                    yield entry
            self._forget_if_drained(segment)

    def _entry(self, segment: Segment, part: Frame | Gap) -> Entry | None:
        if isinstance(part, Gap):
            self._set_aside(segment, part.offset, part.end, unfinished=part.unfinished)
            return None
        try:
            return Entry(decode(part.payload), segment, part.offset, part.end)
        except UnknownRecord:
            self._count_out(segment)
            self._set_aside(segment, part.offset, part.end, unfinished=False)
            return None

    def _count_out(self, segment: Segment) -> None:
        with self._chain.changing:
            segment.depth -= 1

    def _set_aside(self, segment: Segment, offset: int, end: int, *, unfinished: bool) -> None:
        if unfinished:
            log.info("a write that was cut off", segment=segment.path.name, offset=offset)
        else:
            kept = set_aside(self._chain.files, segment.path, offset, end)
            self.unreadable += 1
            log.error("a damaged record of the spool was set aside", file=str(kept))
        segment.pass_over(offset, end)

    def _forget_if_drained(self, segment: Segment) -> bool:
        """Delete a segment once nothing in it waits: True where nothing does."""
        with self._chain.changing:
            if self._closed or not segment.drained:
                return False
            self._retire(segment)
            try:
                # The cursor last: a segment without it would be replayed.
                self._chain.files.remove(segment.path)
                self._chain.files.remove(cursor_path(segment))
            except OSError:
                # On Windows somebody may be reading it; it is tried again with the next one.
                return False
            self._chain.remove(segment)
            return True


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
    """Number of damaged records that lie aside."""
    try:
        return len(files.names(spool / DIRECTORY))
    except FileNotFoundError:
        return 0
