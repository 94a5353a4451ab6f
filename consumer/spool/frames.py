"""Frame records, so that each is told from damage, and found again behind damage."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

# Marker of the segment, length of the payload, time in microseconds, CRC-32 of the payload; then
# the CRC-32 of these.
_HEAD = struct.Struct("<8sIqI")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _HEAD.size + _CHECK.size
MARKER_BYTES = 8
# Far above the largest body and its headers; a longer length is damage.
MAX_PAYLOAD = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """An intact record: where it stands in its segment, its time, and what it holds."""

    offset: int
    end: int
    micros: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no record. `unfinished`: a write that was cut off, so never acknowledged."""

    offset: int
    end: int
    unfinished: bool


def frame(marker: bytes, micros: int, payload: bytes) -> bytes:
    """The bytes of a record. `marker` is random and secret to its segment, so that no payload can
    be taken for a record when one is looked for behind damage."""
    head = _HEAD.pack(marker, len(payload), micros, zlib.crc32(payload))
    return b"".join((head, _CHECK.pack(zlib.crc32(head)), payload))


def header(marker: bytes, data: bytes, at: int) -> tuple[int, int, int] | None:
    """Length, time and CRC of the payload of the record whose header begins at `at`; None where
    none does."""
    if at + HEADER_BYTES > len(data):
        return None
    found, length, micros, crc = _HEAD.unpack_from(data, at)
    if found != marker or length > MAX_PAYLOAD:
        return None
    (check,) = _CHECK.unpack_from(data, at + _HEAD.size)
    if zlib.crc32(data[at : at + _HEAD.size]) != check:
        return None
    return length, micros, crc


def leading(marker: bytes, data: bytes) -> tuple[int, int]:
    """Count the records that stand one behind the other from the begin of `data` on, by their
    headers alone; beside it where the last one ends."""
    count = at = 0
    while (known := header(marker, data, at)) is not None:
        end = at + HEADER_BYTES + known[0]
        if end > len(data):
            break
        count, at = count + 1, end
    return count, at


def walk(marker: bytes, data: bytes, base: int, *, whole: bool) -> Iterator[Frame | Gap]:
    """Records and gaps of `data`, one behind the other; `base` is where it begins in its segment.

    Unless `data` is `whole`, that is reaches the end of the segment, a record or gap that may go
    on beyond it is left out: read on from the end of the last one yielded.
    """
    at = 0
    while at < len(data):
        known = header(marker, data, at)
        if known is None:
            end = _next_header(marker, data, at + 1)
            if end is None and not whole:
                # A header may be cut by the end of what was read.
                end = len(data) - HEADER_BYTES
                if end > at:
                    yield Gap(base + at, base + end, unfinished=False)
                return
            yield _gap(data, base, at, end)
            at = len(data) if end is None else end
            continue
        length, micros, crc = known
        end = at + HEADER_BYTES + length
        if end > len(data):
            if whole:
                yield from _cut_short(marker, data, base, at)
            return
        payload = data[at + HEADER_BYTES : end]
        if zlib.crc32(payload) == crc:
            yield Frame(base + at, base + end, micros, payload)
        else:
            yield Gap(base + at, base + end, unfinished=False)
        at = end


def _gap(data: bytes, base: int, at: int, end: int | None) -> Gap:
    """Bytes without a header. At the end of a segment a crash leaves a scrap or zeros of a write
    that was never synced."""
    if end is not None:
        return Gap(base + at, base + end, unfinished=False)
    rest = data[at:]
    unfinished = len(rest) < HEADER_BYTES or not rest.strip(b"\0")
    return Gap(base + at, base + len(data), unfinished)


def _cut_short(marker: bytes, data: bytes, base: int, at: int) -> Iterator[Frame | Gap]:
    """A record that the segment ends within."""
    behind = _next_header(marker, data, at + HEADER_BYTES)
    if behind is None:
        yield Gap(base + at, base + len(data), unfinished=True)
        return
    # Bytes are missing in the middle, so what stands behind is further to the front.
    yield Gap(base + at, base + behind, unfinished=False)
    yield from walk(marker, data[behind:], base + behind, whole=True)


def _next_header(marker: bytes, data: bytes, start: int) -> int | None:
    at = data.find(marker, start)
    while at >= 0:
        if header(marker, data, at) is not None:
            return at
        at = data.find(marker, at + 1)
    return None
