"""Hold a bounded, durable queue of deliveries: many threads put in, one drain takes out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from consumer.errors import SetupError, StoreUnavailable
from consumer.events import Delivery
from consumer.spool.files import Appender, Files
from consumer.spool.frames import HEADER_BYTES, MAX_PAYLOAD, Gap, frame
from consumer.spool.quarantine import set_aside
from consumer.spool.records import UnknownRecord, decode, encode, micros
from consumer.spool.segments import (
    Segment,
    cursor_path,
    new_segment,
    oldest,
    parts,
    remove_orphans,
    save_cursor,
    segments,
)

log = structlog.get_logger(__name__)

# Space is freed by whole segments.
SEGMENT_BYTES = 16 * 1024 * 1024
# What `take` returns and one write holds at most, beside one record.
_BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A delivery in the spool, and where it stands."""

    delivery: Delivery
    segment: Segment
    offset: int
    end: int


@dataclass(slots=True)
class _Waiting:
    """A record on its way to the disk; `fault` is why it did not get there. `turn` is held until
    it is settled, or is the one to write for all that wait."""

    micros: int
    payload: bytes
    turn: threading.Lock
    settled: bool = False
    fault: str | None = "the write to the spool broke off: see the log"


class Spool:
    """The queue in one directory, owned by this process.

    Opening it raises SetupError. Its files take at most `max_bytes`, drained records of a segment
    that is not empty yet included.
    """

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        files: Files | None = None,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._files = files or Files()
        self._queueing = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._writing = False
        self._changing = threading.Lock()
        self._active: Segment | None = None
        self._appender: Appender | None = None
        self._fault: str | None = None
        self._unreadable = 0
        try:
            self._files.make_directory(directory)
            self._segments = segments(self._files, directory)
            remove_orphans(self._files, directory, self._segments)
        except OSError as error:
            raise SetupError(
                f"the spool in {directory} cannot be opened ({error.strerror}): let the user this"
                " program runs as read and write it"
            ) from error

    # -- what is in it ---------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many deliveries wait."""
        return sum(segment.depth for segment in list(self._segments))

    @property
    def size(self) -> int:
        """Bytes of its segments on the disk."""
        return sum(segment.end for segment in list(self._segments))

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    @property
    def unreadable(self) -> int:
        """How many damaged records this process has set aside."""
        return self._unreadable

    def oldest(self) -> datetime | None:
        """When the delivery that waits longest was received."""
        return oldest(self._files, list(self._segments))

    @property
    def fault(self) -> str | None:
        """Why a delivery would not be kept just now; None where it would, as far as is known."""
        # The largest delivery decides: a spool that takes only small ones is as good as full.
        if self.size + HEADER_BYTES + MAX_PAYLOAD > self._max_bytes:
            return self._full()
        return self._fault

    def recheck(self) -> None:
        """After a failed write, try the disk again."""
        if self._fault is not None and self._writable():
            self._fault = None

    # -- in --------------------------------------------------------------------------------------

    def append(self, delivery: Delivery) -> None:
        """Return when the delivery is durable; raises StoreUnavailable when it cannot be.

        Who comes first writes for all that came meanwhile, and they share its fsync.
        """
        waiting = _Waiting(micros(delivery.received_at), encode(delivery), threading.Lock())
        waiting.turn.acquire()
        with self._queueing:
            self._queue.append(waiting)
            leads, self._writing = not self._writing, True
        if not leads:
            waiting.turn.acquire()
        if not waiting.settled:
            self._write_batch()
        if waiting.fault is not None:
            raise StoreUnavailable(
                f"neither MongoDB nor the spool can take the delivery: {waiting.fault}"
            )

    def _write_batch(self) -> None:
        batch: list[_Waiting] = []
        size = 0
        with self._queueing:
            while self._queue and size < _BATCH_BYTES:
                batch.append(self._queue.popleft())
                size += len(batch[-1].payload)
        try:
            with self._changing:
                self._write(batch)
        finally:
            with self._queueing:
                heir = self._queue[0] if self._queue else None
                self._writing = heir is not None
            # The next writer first: it has a sync before it, the others have nothing.
            if heir is not None:
                heir.turn.release()
            for waiting in batch:
                waiting.settled = True
                waiting.turn.release()

    def _write(self, batch: list[_Waiting]) -> None:
        if self._active is not None and self._active.end >= self._segment_bytes:
            self._close_active()
        segment = self._active or new_segment(self._directory, self._next_number())
        room = self._max_bytes - self.size
        frames: list[bytes] = []
        fitting: list[_Waiting] = []
        for waiting in batch:
            data = frame(segment.marker, waiting.micros, waiting.payload)
            if len(data) > min(room, HEADER_BYTES + MAX_PAYLOAD):
                waiting.fault = self._full()
                continue
            room -= len(data)
            frames.append(data)
            fitting.append(waiting)
        if not fitting:
            return
        data = b"".join(frames)
        fault = self._durably(segment, data)
        self._note(fault)
        if fault is None:
            segment.end += len(data)
            segment.depth += len(fitting)
        for waiting in fitting:
            waiting.fault = fault

    def _durably(self, segment: Segment, data: bytes) -> str | None:
        """Write and sync; the fault that prevented it, after which nothing of it is left."""
        try:
            appender = self._appender or self._files.create(segment.path)
            self._appender = appender
            appender.write(data)
            appender.sync()
            if self._active is None:
                self._files.sync_directory(self._directory)
                self._active = segment
                self._segments.append(segment)
        except OSError as error:
            # After a failed sync nobody knows what the disk has, and the next sync may say "all
            # well": so no more is written to this file.
            self._abandon(segment)
            return f"{error.strerror or type(error).__name__}; free or repair the disk"
        return None

    def _abandon(self, segment: Segment) -> None:
        appender, self._appender, self._active = self._appender, None, None
        try:
            if appender is not None:
                try:
                    appender.truncate(segment.end)
                finally:
                    appender.close()
            if segment.end == 0:
                self._files.remove(segment.path)
        except OSError as error:
            # What was not acknowledged may stay in the file; replayed, it is a duplicate.
            log.warning("the spool could not undo a failed write", error=error.strerror)

    def _note(self, fault: str | None) -> None:
        if fault is not None and self._fault is None:
            log.error("the spool cannot be written", error=fault)
        self._fault = fault

    def _full(self) -> str:
        return f"the spool is full ({self.size} of {self._max_bytes} bytes, CXONE_SPOOL_MAX_BYTES)"

    def _next_number(self) -> int:
        return self._segments[-1].number + 1 if self._segments else 1

    # -- out: one thread at a time ---------------------------------------------------------------

    def take(self, count: int) -> list[Entry]:
        """Up to `count` deliveries in order of arrival; they stay until they are removed.

        Damaged records on the way are set aside. Raises StoreUnavailable when the disk cannot be
        read, or a damaged record cannot be set aside.
        """
        taken: list[Entry] = []
        size = 0
        with self._changing:
            found = list(self._segments)
        try:
            for segment in found:
                for part in parts(self._files, segment):
                    if isinstance(part, Gap):
                        self._set_aside(segment, part.offset, part.end, unfinished=part.unfinished)
                        continue
                    try:
                        delivery = decode(part.payload)
                    except UnknownRecord:
                        self._settled(segment)
                        self._set_aside(segment, part.offset, part.end, unfinished=False)
                        continue
                    taken.append(Entry(delivery, segment, part.offset, part.end))
                    size += len(part.payload)
                    if len(taken) >= count or size >= _BATCH_BYTES:
                        return taken
                self._forget_if_drained(segment)
        except OSError as error:
            raise StoreUnavailable(
                f"the spool in {self._directory} cannot be read ({error.strerror})"
            ) from error
        return taken

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget deliveries that are durable elsewhere. A crash before this is durable replays
        them once more, which finds duplicates."""
        touched: list[Segment] = []
        for entry in entries:
            entry.segment.settle(entry.offset, entry.end)
            self._settled(entry.segment)
            if entry.segment not in touched:
                touched.append(entry.segment)
        for segment in touched:
            if self._forget_if_drained(segment):
                continue
            try:
                save_cursor(self._files, segment)
            except OSError as error:
                log.warning("the spool could not save its cursor", error=error.strerror)

    def close(self) -> None:
        with self._changing:
            self._close_active()

    def _settled(self, segment: Segment) -> None:
        with self._changing:
            segment.depth -= 1

    def _set_aside(self, segment: Segment, offset: int, end: int, *, unfinished: bool) -> None:
        if unfinished:
            log.info("a write that was cut off", segment=segment.path.name, offset=offset)
        else:
            kept = set_aside(self._files, segment.path, offset, end)
            self._unreadable += 1
            log.error("a damaged record of the spool was set aside", file=str(kept))
        segment.settle(offset, end)

    def _forget_if_drained(self, segment: Segment) -> bool:
        """Delete a segment once nothing in it waits; whether nothing does."""
        with self._changing:
            if not segment.drained:
                return False
            if segment is self._active:
                self._close_active()
            try:
                # The cursor last: a segment without it would be replayed.
                self._files.remove(segment.path)
                self._files.remove(cursor_path(segment))
            except OSError:
                # On Windows somebody may be reading it; it is tried again with the next one.
                return False
            self._segments.remove(segment)
            return True

    def _close_active(self) -> None:
        if self._appender is not None:
            self._appender.close()
        self._appender = self._active = None

    def _writable(self) -> bool:
        probe = self._directory / "probe"
        try:
            self._files.remove(probe)
            appender = self._files.create(probe)
            try:
                appender.write(b"\n")
                appender.sync()
            finally:
                appender.close()
            self._files.remove(probe)
        except OSError:
            return False
        return True
