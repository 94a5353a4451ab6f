"""Share the segments of one directory between the writer and the reader of a spool."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from consumer.errors import SetupError
from consumer.spool.files import Files
from consumer.spool.segments import Segment, oldest, remove_orphans, segments

# Seconds for which a stop waits for a write to the disk.
_SOON = 2.0


class Chain:
    """The segments of a directory that this process owns, oldest first; raises SetupError where
    it cannot be opened.

    Whoever writes to a segment, counts, adds or removes one holds `changing`.
    """

    def __init__(self, directory: Path, files: Files) -> None:
        self.directory = directory
        self.files = files
        self.changing = threading.Lock()
        try:
            files.make_directory(directory)
            self._segments = segments(files, directory)
            remove_orphans(files, directory, self._segments)
        except OSError as error:
            raise SetupError(
                f"the spool in {directory} cannot be opened ({error.strerror}): let the user this"
                " program runs as read and write it"
            ) from error

    @property
    def depth(self) -> int:
        """How many deliveries wait."""
        return sum(segment.depth for segment in self.segments())

    @property
    def size(self) -> int:
        """Bytes of all segments on the disk."""
        return sum(segment.end for segment in self.segments())

    def oldest(self) -> datetime | None:
        """When the delivery that waits longest was received."""
        return oldest(self.files, self.segments())

    def segments(self) -> list[Segment]:
        """Those there are now; later changes of the list do not touch what is returned."""
        return list(self._segments)

    @contextmanager
    def changing_soon(self) -> Iterator[bool]:
        """Hold `changing`, and say so; not where a disk that does not answer keeps it."""
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
