"""A bounded, durable queue of deliveries: many threads put in, one drain takes out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from consumer.core.delivery import Delivery
from consumer.spool.files import Files
from consumer.spool.reader import Entry, Reader
from consumer.spool.segments import Chain
from consumer.spool.writer import TIMEOUT, Writer

# Space is freed by whole segments.
SEGMENT_BYTES = 16 * 1024 * 1024


class Spool:
    """The queue in one directory, owned by this process.

    Opening it raises SetupError. Its files take at most `max_bytes`, drained records of a segment
    that is not empty yet included; `timeout` is as of `Writer`.
    """

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        files: Files | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._chain = Chain(directory, files or Files())
        self._writer = Writer(self._chain, max_bytes, segment_bytes, timeout)
        self._reader = Reader(self._chain, self._writer.retire)

    @property
    def depth(self) -> int:
        """Number of deliveries that wait."""
        return self._chain.depth

    @property
    def size(self) -> int:
        """Bytes of its segments on the disk."""
        return self._chain.size

    @property
    def unreadable(self) -> int:
        """Number of damaged records that this process has set aside."""
        return self._reader.unreadable

    @property
    def fault(self) -> str | None:
        """Reason why a delivery cannot be taken just now; None where it can, as far as is known."""
        return self._writer.fault

    def oldest(self) -> datetime | None:
        """The time at which the delivery that waits longest was received."""
        return self._chain.oldest()

    def recheck(self) -> None:
        """After a failed write, try the disk again."""
        self._writer.recheck()

    def append(self, delivery: Delivery) -> None:
        """Return when the delivery is durable; raises StoreUnavailable when it cannot be.

        Deliveries that come at the same time share one sync of the disk.
        """
        self._writer.append(delivery)

    def take(self, count: int, after: Entry | None = None) -> list[Entry]:
        """Up to `count` deliveries in order of arrival, as `Reader.take`; one thread at a time."""
        return self._reader.take(count, after)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget deliveries that are durable elsewhere, as `Reader.remove`."""
        self._reader.remove(entries)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
