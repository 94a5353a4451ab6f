"""Look at a spool without touching it, also while another process owns it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from consumer.core.delivery import Delivery
from consumer.core.errors import SetupError
from consumer.spool.files import Files
from consumer.spool.frames import Frame
from consumer.spool.reader import set_aside_count
from consumer.spool.records import UnknownRecord, decode
from consumer.spool.segments import Segment, oldest, parts, segments


def directory_in(data_dir: Path) -> Path:
    """The directory of the spool in a data directory."""
    return data_dir / "spool"


@dataclass(frozen=True, slots=True)
class Survey:
    """Figures of a spool: deliveries that wait, bytes on the disk, the time at which the oldest was
    received, and damaged records set aside over time."""

    depth: int
    bytes: int
    oldest: datetime | None
    damaged: int


def survey(directory: Path) -> Survey:
    """Figures of the spool as of now; raises SetupError."""
    files = Files()
    try:
        found = segments(files, directory)
        return Survey(
            depth=sum(segment.depth for segment in found),
            bytes=sum(segment.end for segment in found),
            oldest=oldest(files, found),
            damaged=set_aside_count(files, directory),
        )
    except FileNotFoundError:
        return Survey(0, 0, None, 0)
    except OSError as error:
        raise _unreadable(directory, error) from error


def deliveries(directory: Path) -> Iterator[Delivery]:
    """Deliveries that wait, in order of arrival, without the damaged ones; raises SetupError."""
    files = Files()
    try:
        for segment in segments(files, directory):
            yield from _deliveries(files, segment)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(directory, error) from error


def _deliveries(files: Files, segment: Segment) -> Iterator[Delivery]:
    try:
        for part in parts(files, segment):
            if isinstance(part, Frame):
                try:
                    yield decode(part.payload)
                except UnknownRecord:
                    continue
    except FileNotFoundError:
        # Its owner drained it meanwhile.
        return


def _unreadable(directory: Path, error: OSError) -> SetupError:
    return SetupError(
        f"the spool in {directory} cannot be read ({error.strerror}): run this as the user of the"
        " service"
    )
