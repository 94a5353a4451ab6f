"""Damage costs the records it touched, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.spool.frames import HEADER_BYTES, Frame, Gap, frame, walk
from consumer.spool.spool import Spool
from consumer.spool.survey import survey
from tests.support.spool import MARKER, delivery, files_of, ids


@pytest.mark.parametrize("part", ["header", "payload"])
def test_a_damaged_record_is_set_aside_and_the_rest_is_drained(
    reopened: Callable[..., Spool], path: Path, part: str
) -> None:
    spool = reopened()
    for number in range(5):
        spool.append(delivery(number, b'{"secret":"PAYLOAD"}'))
    spool.close()
    (segment,) = files_of(path)
    data = bytearray(segment.read_bytes())
    begin = len(data) // 5 * 2
    data[begin + (10 if part == "header" else HEADER_BYTES + 10)] ^= 0x40
    segment.write_bytes(data)

    damaged = reopened()
    entries = damaged.take(100)

    assert [entry.delivery.id for entry in entries] == [f"delivery-{n}" for n in (0, 1, 3, 4)]
    assert damaged.unreadable == 1
    (kept,) = (path / "damaged").iterdir()
    assert kept.read_bytes() == bytes(data[begin : begin + len(data) // 5])
    damaged.remove(entries)
    assert (damaged.depth, files_of(path)) == (0, [])
    assert survey(path).damaged == 1


def test_a_record_of_another_version_is_set_aside(
    reopened: Callable[..., Spool], path: Path
) -> None:
    spool = reopened()
    spool.append(delivery(1))
    spool.close()
    (segment,) = files_of(path)
    foreign = frame(bytes.fromhex(segment.stem[11:]), 0, msgspec.msgpack.encode({"id": 7}))
    segment.write_bytes(foreign + segment.read_bytes())

    again = reopened()

    assert ids(again) == ["delivery-1"]
    assert (again.unreadable, again.depth) == (1, 1)


def test_a_write_that_was_cut_off_is_no_damage(reopened: Callable[..., Spool], path: Path) -> None:
    spool = reopened()
    for number in range(3):
        spool.append(delivery(number))
    spool.close()
    (segment,) = files_of(path)
    data = segment.read_bytes()

    for tail in (data[: HEADER_BYTES + 5], data[:7], b"\0" * 500):
        segment.write_bytes(data + tail)
        again = reopened()
        entries = again.take(10)
        assert [entry.delivery.id for entry in entries] == [f"delivery-{n}" for n in range(3)]
        assert again.unreadable == 0
    again.remove(entries)
    assert list(path.iterdir()) == []


def test_a_record_inside_a_body_is_never_taken_for_one(
    reopened: Callable[..., Spool], path: Path
) -> None:
    forged = frame(MARKER, 0, b"forged")
    spool = reopened()
    spool.append(delivery(1, forged))
    spool.append(delivery(2))
    spool.close()
    (segment,) = files_of(path)
    data = bytearray(segment.read_bytes())
    data[5] ^= 1
    segment.write_bytes(data)

    assert ids(reopened()) == ["delivery-2"]


@given(
    payloads=st.lists(st.binary(max_size=60), max_size=8),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=3),
    cut=st.integers(0, 10_000),
    window=st.integers(100, 300),
)
def test_damage_costs_only_the_records_it_touched(
    payloads: list[bytes], flips: list[tuple[int, int]], cut: int, window: int
) -> None:
    frames = [frame(MARKER, number, payload) for number, payload in enumerate(payloads)]
    data = bytearray(b"".join(frames))
    touched: set[int] = set()
    starts = [sum(map(len, frames[:n])) for n in range(len(frames) + 1)]
    for position, bits in flips:
        if position < len(data):
            data[position] ^= bits
            touched.add(position)
    data = data[:cut]

    intact = [
        number
        for number, payload in enumerate(payloads)
        if starts[number + 1] <= len(data)
        and not any(starts[number] <= at < starts[number + 1] for at in touched)
    ]
    found: list[Frame | Gap] = []
    at = 0
    while at < len(data):
        piece = bytes(data[at : at + window])
        parts = list(walk(MARKER, piece, at, whole=at + len(piece) >= len(data)))
        assert parts
        found += parts
        at = parts[-1].end

    # Two flips of one bit may undo each other, so more than expected may be intact.
    seen = {part.micros: part.payload for part in found if isinstance(part, Frame)}
    assert all(seen[number] == payloads[number] for number in intact)
    assert all(payloads[number] == payload for number, payload in seen.items())
    edges = [0, *(part.end for part in found)]
    assert [part.offset for part in found] == edges[:-1]
    assert edges[-1] == len(data)
