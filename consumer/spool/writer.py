"""Put deliveries into a spool: durable when `append` returns, and within its bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from consumer.core.delivery import Delivery
from consumer.core.errors import StoreUnavailable
from consumer.core.group_commit import GroupCommit
from consumer.spool.disk_thread import DiskThread
from consumer.spool.files import Appender
from consumer.spool.frames import HEADER_BYTES, MAX_PAYLOAD, frame
from consumer.spool.records import encode, micros
from consumer.spool.segments import Chain, Segment, new_segment

log = structlog.get_logger(__name__)

# Seconds that a delivery waits for the disk. Longer than a sync takes on a busy one, and not much
# longer than senders wait for an answer.
TIMEOUT = 2.0


@dataclass(slots=True, eq=False)
class _Record:
    """A record on its way to the disk; `fault` is why it did not get there."""

    micros: int
    payload: bytes
    size: int
    fault: str | None = "the disk does not answer"


class Writer:
    """The way in, for any number of threads. Opens no file before the first delivery.

    Segments take at most `max_bytes` together; one that has `segment_bytes` gets no more. Nobody
    waits for the disk longer than `timeout` seconds. What it does not answer for that long may
    still get there: its sender tries again, and the copy is a duplicate.
    """

    def __init__(self, chain: Chain, max_bytes: int, segment_bytes: int, timeout: float) -> None:
        self._max_bytes = max_bytes
        self._chain = chain
        self._segment_bytes = segment_bytes
        # One write and one sync at a time; all that come meanwhile share the next ones.
        self._disk: DiskThread[_Record] = DiskThread(self._write, timeout)
        self._group: GroupCommit[_Record] = GroupCommit(self._write_in_time, in_flight=1)
        self._active: Segment | None = None
        self._appender: Appender | None = None
        self._fault: str | None = None

    @property
    def waiting(self) -> int:
        """Number of deliveries that wait for the write of others to end."""
        return self._group.waiting

    @property
    def fault(self) -> str | None:
        """Reason why a delivery cannot be taken just now; None where it can, as far as is known."""
        overdue = self._disk.overdue
        if overdue is not None:
            return f"the disk has not answered for {overdue:.0f} s"
        # The largest delivery decides: a spool that takes only small ones is as good as full.
        if self._chain.size + HEADER_BYTES + MAX_PAYLOAD > self._max_bytes:
            return self._full()
        return self._fault

    def recheck(self) -> None:
        """After a failed write, try the disk again."""
        if self._fault is None or self._disk.overdue is not None:
            return
        if self._chain.files.takes_writes(self._chain.directory):
            log.info("the spool can be written again")
            self._fault = None

    def append(self, delivery: Delivery) -> None:
        """Return when the delivery is durable; raises StoreUnavailable when it cannot be."""
        payload = encode(delivery)
        record = _Record(micros(delivery.received_at), payload, len(payload))
        self._group.submit(record)
        if record.fault is not None:
            raise StoreUnavailable(
                f"neither MongoDB nor the spool can take the delivery: {record.fault}"
            )

    def retire(self, segment: Segment) -> None:
        """Write no more to this segment, whose lock the caller holds (`Chain.changing`)."""
        if segment is self._active:
            self._close_segment()

    def close(self) -> None:
        self._disk.close()
        with self._chain.changing_in_time() as may_change:
            if may_change:
                self._close_segment()

    def _write_in_time(self, records: Sequence[_Record]) -> None:
        if not self._disk.run(records):
            log.error("the disk of the spool does not answer", deliveries=len(records))

    def _write(self, records: Sequence[_Record]) -> None:
        with self._chain.changing:
            self._write_to(self._target(), records)

    def _target(self) -> Segment:
        """The segment to write to: the active one while it has room, else one yet to be created."""
        if self._active is not None and self._active.end >= self._segment_bytes:
            self._close_segment()
        return self._active or new_segment(self._chain.directory, self._chain.next_number())

    def _write_to(self, segment: Segment, records: Sequence[_Record]) -> None:
        room = self._max_bytes - self._chain.size
        frames: list[bytes] = []
        fitting: list[_Record] = []
        for record in records:
            data = frame(segment.marker, record.micros, record.payload)
            if len(data) > min(room, HEADER_BYTES + MAX_PAYLOAD):
                record.fault = self._full()
                continue
            room -= len(data)
            frames.append(data)
            fitting.append(record)
        if not fitting:
            return
        data = b"".join(frames)
        fault = self._durably(segment, data)
        if fault is None:
            segment.end += len(data)
            segment.depth += len(fitting)
        elif self._fault is None:
            log.error("the spool cannot be written", error=fault)
        self._fault = fault
        for record in fitting:
            record.fault = fault

    def _durably(self, segment: Segment, data: bytes) -> str | None:
        """Write and sync; the fault that prevented it, after which nothing of it is left."""
        try:
            appender = self._appender or self._chain.files.create(segment.path)
            self._appender = appender
            appender.write(data)
            appender.sync()
            if self._active is None:
                self._chain.files.sync_directory(self._chain.directory)
                self._active = segment
                self._chain.add(segment)
        except BaseException as error:
            # After a failed sync nobody knows what the disk has, and the next sync may say "all
            # well"; after any other fault, where the file ends: so no more is written to it.
            self._abandon(segment)
            if not isinstance(error, OSError):
                raise
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
                self._chain.files.remove(segment.path)
        except OSError as error:
            # What was not acknowledged may stay in the file; replayed, it is a duplicate.
            log.warning("the spool could not undo a failed write", error=error.strerror)

    def _close_segment(self) -> None:
        if self._appender is not None:
            self._appender.close()
        self._appender = self._active = None

    def _full(self) -> str:
        size = self._chain.size
        return f"the spool is full ({size} of {self._max_bytes} bytes, CXONE_SPOOL_MAX_BYTES)"
