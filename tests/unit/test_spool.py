"""The spool gives back what it took, in order, whatever happened to the disk in between."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.errors import SetupError, StoreUnavailable
from consumer.events import Delivery, Headers, Verdict
from consumer.spool import Spool, deliveries, survey
from consumer.spool.files import Appender, Files
from consumer.spool.frames import HEADER_BYTES, Frame, Gap, frame, walk

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=timezone.utc)
MARKER = b"\x01marker\xff"
MIB = 1 << 20


def delivery(number: int, body: bytes | None = None) -> Delivery:
    at = NOW + timedelta(seconds=number)
    return Delivery(
        id=f"delivery-{number}",
        body=b'{"id":%d}' % number if body is None else body,
        headers=Headers({"X-Nice-Webhook-Signature": "c2ln\xe9", "User-Agent": "cxone"}),
        received_at=at,
        verdict=Verdict("previous", at + timedelta(milliseconds=5)),
    )


def ids(spool: Spool, count: int = 1000) -> list[str]:
    return [entry.delivery.id for entry in spool.take(count)]


def files_of(path: Path) -> list[Path]:
    return sorted(path.glob("*.spool"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def reopened(path: Path) -> Iterator[Callable[..., Spool]]:
    """Opens the spool in `path` anew, as after a kill -9: what was open before is not closed."""
    with ExitStack() as opened:

        def open_(max_bytes: int = 64 * MIB, **options: Any) -> Spool:
            return opened.enter_context(closing(Spool(path, max_bytes, **options)))

        yield open_


def test_what_is_taken_out_is_what_was_put_in(reopened: Callable[..., Spool]) -> None:
    given_ = delivery(1, bytes(range(256)))
    first = reopened()
    first.append(given_)
    first.close()

    (entry,) = reopened().take(10)

    got = entry.delivery
    assert (got.id, got.body, got.received_at, got.verdict) == (
        given_.id, given_.body, given_.received_at, given_.verdict,
    )  # fmt: skip
    assert got.headers["x-nice-webhook-signature"] == "c2ln\xe9"
    assert dict(got.headers) == dict(given_.headers)


def test_deliveries_come_out_in_order_over_segments_and_restarts(
    reopened: Callable[..., Spool], path: Path
) -> None:
    for start in (0, 10):
        spool = reopened(segment_bytes=600)
        for number in range(start, start + 10):
            spool.append(delivery(number))
        spool.close()

    assert len(files_of(path)) > 4
    assert ids(reopened()) == [f"delivery-{number}" for number in range(20)]


def test_what_was_removed_does_not_come_back_after_a_restart(
    reopened: Callable[..., Spool],
) -> None:
    spool = reopened()
    for number in range(10):
        spool.append(delivery(number))
    spool.remove(spool.take(4))

    assert ids(spool) == [f"delivery-{number}" for number in range(4, 10)]
    again = reopened()
    assert ids(again) == [f"delivery-{number}" for number in range(4, 10)]
    assert again.depth == 6


def test_what_is_removed_out_of_order_is_not_taken_again(reopened: Callable[..., Spool]) -> None:
    spool = reopened()
    for number in range(6):
        spool.append(delivery(number))
    entries = spool.take(6)

    spool.remove([entries[1], entries[4]])

    assert ids(spool) == ["delivery-0", "delivery-2", "delivery-3", "delivery-5"]
    spool.remove([entries[0], entries[2], entries[3]])
    assert ids(reopened()) == ["delivery-5"]


def test_an_empty_spool_leaves_no_file_behind(reopened: Callable[..., Spool], path: Path) -> None:
    spool = reopened(segment_bytes=600)
    for number in range(10):
        spool.append(delivery(number))

    spool.remove(spool.take(100))

    assert list(path.iterdir()) == []
    assert (spool.depth, spool.size, spool.oldest()) == (0, 0, None)
    spool.append(delivery(11))
    assert ids(spool) == ["delivery-11"]


def test_a_segment_whose_deletion_a_crash_prevented_is_deleted_later(
    reopened: Callable[..., Spool], path: Path
) -> None:
    spool = reopened()
    for number in range(3):
        spool.append(delivery(number))
    spool.remove(spool.take(2))
    spool.close()
    (segment,) = files_of(path)
    content = segment.read_bytes()
    last = reopened()
    last.remove(last.take(1))
    assert list(path.iterdir()) == []
    # As if only the deletion had not happened.
    segment.write_bytes(content[: len(content) // 3 * 2])
    segment.with_suffix(".done").write_bytes(b"")
    (path / "orphan.done").write_bytes(b"")
    cleared = reopened()
    cleared.remove(cleared.take(10))

    assert list(path.iterdir()) == []


def test_depth_bytes_and_oldest_tell_what_waits(reopened: Callable[..., Spool], path: Path) -> None:
    spool = reopened()
    for number in range(5):
        spool.append(delivery(number))
    spool.remove(spool.take(2))

    for told in (spool, reopened()):
        assert told.depth == 3
        assert told.oldest() == NOW + timedelta(seconds=2)
        assert told.size == files_of(path)[0].stat().st_size
    seen = survey(path)
    assert (seen.depth, seen.bytes, seen.oldest) == (3, spool.size, spool.oldest())
    assert [each.id for each in deliveries(path)] == ["delivery-2", "delivery-3", "delivery-4"]


def test_a_missing_spool_is_an_empty_one_to_onlookers(path: Path) -> None:
    assert survey(path).depth == 0
    assert list(deliveries(path)) == []
    assert not path.exists()


def test_concurrent_deliveries_share_a_sync(reopened: Callable[..., Spool]) -> None:
    disk = SlowDisk()
    spool = reopened(files=disk)
    threads = [threading.Thread(target=spool.append, args=(delivery(n),)) for n in range(40)]

    with disk.held:
        for thread in threads:
            thread.start()
        # One thread writes by now, and all others wait for it.
        while spool._writer.waiting < len(threads) - 1:
            pass
    for thread in threads:
        thread.join()

    assert sorted(ids(spool)) == sorted(f"delivery-{number}" for number in range(40))
    assert disk.syncs == 2


def test_a_full_spool_refuses_and_takes_again_once_drained(reopened: Callable[..., Spool]) -> None:
    spool = reopened(3000, segment_bytes=1000)
    taken = 0
    with pytest.raises(StoreUnavailable, match=r"the spool is full .*CXONE_SPOOL_MAX_BYTES"):
        for number in range(100):
            spool.append(delivery(number))
            taken += 1

    assert spool.size <= 3000
    assert len(ids(spool)) == taken == spool.depth
    assert spool.fault is not None
    spool.remove(spool.take(taken // 2))
    spool.append(delivery(200))
    assert ids(spool)[-1] == "delivery-200"


def test_a_roomy_spool_says_that_it_would_keep_a_delivery(reopened: Callable[..., Spool]) -> None:
    assert reopened().fault is None


@pytest.mark.parametrize("failing", ["write", "sync", "sync_directory", "create"])
def test_a_failing_disk_refuses_and_leaves_nothing_half_written(
    reopened: Callable[..., Spool], failing: str
) -> None:
    disk = FailingDisk()
    spool = reopened(files=disk)
    if failing in ("write", "sync"):
        spool.append(delivery(1))
    before = spool.depth

    disk.failing = failing
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        spool.append(delivery(2))
    assert spool.fault is not None
    spool.recheck()
    assert (spool.fault is None) is (failing == "sync_directory")

    disk.failing = ""
    spool.recheck()
    assert spool.fault is None
    spool.append(delivery(3))
    expected = ["delivery-1"] * before + ["delivery-3"]
    assert ids(spool) == expected
    assert ids(reopened()) == expected


def test_after_a_failed_sync_no_more_is_written_to_that_file(
    reopened: Callable[..., Spool], path: Path
) -> None:
    disk = FailingDisk()
    spool = reopened(files=disk)
    spool.append(delivery(1))
    disk.failing = "sync"
    with pytest.raises(StoreUnavailable):
        spool.append(delivery(2))
    disk.failing = ""

    spool.append(delivery(3))

    assert len(files_of(path)) == 2


def test_a_fault_that_is_not_the_disks_leaves_nothing_half_written_either(
    reopened: Callable[..., Spool],
) -> None:
    disk = FailingDisk()
    spool = reopened(files=disk)
    spool.append(delivery(1))
    disk.failing, disk.error = "sync", MemoryError()
    with pytest.raises(MemoryError):
        spool.append(delivery(2))
    disk.failing = ""

    spool.append(delivery(3))

    assert ids(spool) == ids(reopened()) == ["delivery-1", "delivery-3"]


def test_a_spool_that_cannot_be_opened_says_what_to_do(path: Path) -> None:
    path.write_text("not a directory")

    with pytest.raises(SetupError, match="cannot be opened"):
        Spool(path, 64 * MIB)


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


def test_what_was_not_verified_is_not_taken(reopened: Callable[..., Spool]) -> None:
    unverified = Delivery("1", b"{}", Headers({}), NOW)

    with pytest.raises(ValueError, match="verified"):
        reopened().append(unverified)


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


class SlowDisk(Files):
    """Counts syncs, each of which waits while `held` is held."""

    def __init__(self) -> None:
        self.held = threading.Lock()
        self.syncs = 0

    def create(self, path: Path) -> Appender:
        return _Watched(super().create(path), self._sync)

    def _sync(self) -> None:
        with self.held:
            self.syncs += 1


class FailingDisk(Files):
    """Says that the disk is full when `failing` is called; a failing write takes half."""

    failing = ""
    error: Exception = OSError(errno.ENOSPC, "No space left on device")

    def create(self, path: Path) -> Appender:
        self._check("create")
        return _Watched(
            super().create(path), lambda: self._check("sync"), lambda: self._check("write")
        )

    def sync_directory(self, path: Path) -> None:
        self._check("sync_directory")
        super().sync_directory(path)

    def _check(self, name: str) -> None:
        if name == self.failing:
            raise self.error


class _Watched:
    def __init__(
        self, inner: Appender, on_sync: Callable[[], None], on_write: Callable[[], object] = list
    ) -> None:
        self._inner = inner
        self._on_sync = on_sync
        self._on_write = on_write
        self.truncate = inner.truncate
        self.close = inner.close

    def write(self, data: bytes) -> None:
        try:
            self._on_write()
        except OSError:
            self._inner.write(data[: len(data) // 2])
            raise
        self._inner.write(data)

    def sync(self) -> None:
        self._on_sync()
        self._inner.sync()
