"""A disk that is slow, full or failing costs no delivery that was taken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from consumer.core.errors import SetupError, StoreUnavailable
from consumer.spool.spool import Spool
from tests.support.service import eventually
from tests.support.spool import MIB, FailingDisk, HeldDisk, SlowDisk, delivery, files_of, ids


def test_concurrent_deliveries_share_a_sync(reopened: Callable[..., Spool]) -> None:
    disk = SlowDisk()
    spool = reopened(files=disk, timeout=60)
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


def test_a_disk_that_does_not_answer_keeps_nobody_waiting_and_is_used_again(
    reopened: Callable[..., Spool],
) -> None:
    disk = SlowDisk()
    spool = reopened(files=disk, timeout=0.3)
    refused: list[str] = []

    def append(number: int) -> None:
        with pytest.raises(StoreUnavailable) as raised:
            spool.append(delivery(number))
        refused.append(str(raised.value))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(40)]
    with disk.held:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        # Whoever comes now does not wait at all, for there is nothing to wait for.
        began = monotonic()
        for number in range(100, 200):
            append(number)
        took = monotonic() - began
        fault = spool.fault
        spool.recheck()
    eventually(lambda: spool.fault is None)

    assert len(refused) == 140
    assert all("the disk does not answer" in each for each in refused)
    assert took < 0.3 * 100 / 2
    assert fault is not None
    assert "the disk has not answered" in fault
    spool.append(delivery(300))
    kept = ids(spool)
    # What the disk had when it hung got there after all; nothing else did.
    assert kept[-1] == "delivery-300"
    assert set(kept[:-1]) <= {f"delivery-{number}" for number in range(40)}
    assert disk.syncs == 2


def test_a_spool_is_closed_although_its_disk_does_not_answer(
    reopened: Callable[..., Spool],
) -> None:
    disk = SlowDisk()
    spool = reopened(files=disk, timeout=0.1)
    with disk.held:
        with pytest.raises(StoreUnavailable):
            spool.append(delivery(1))
        began = monotonic()
        spool.close()
        took = monotonic() - began

    assert took < 20


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


def test_files_that_another_program_holds_are_waited_for(
    reopened: Callable[..., Spool], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.spool.segments._AGAIN", 0.0)
    spool = reopened()
    for number in range(3):
        spool.append(delivery(number))
    spool.remove(spool.take(1))
    # Or it would be the other program itself: Windows deletes nothing that is open.
    spool.close()
    disk = HeldDisk(5)

    spool = reopened(files=disk)
    assert disk.times < 0
    disk.times = 1
    with pytest.raises(StoreUnavailable):
        spool.take(3)
    assert ids(spool) == ["delivery-1", "delivery-2"]
    # Held when they could go, they stay, and go the next time.
    entries = spool.take(3)
    disk.times = 1
    spool.remove(entries)
    assert files_of(path)
    assert not spool.take(1)
    assert not files_of(path)
    assert not spool.unreadable


def test_files_that_are_held_for_ever_are_told_and_orphans_wait_for_the_next_start(
    reopened: Callable[..., Spool], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.spool.segments._LONGEST_USE", -1.0)
    spool = reopened()
    spool.append(delivery(1))
    spool.close()
    orphan = path / "0000000007-0123456789abcdef.done"
    orphan.write_bytes(b"")
    (held,) = files_of(path)

    with pytest.raises(SetupError, match="no other program hold its files"):
        reopened(files=HeldDisk(100))
    held.unlink()
    reopened(files=HeldDisk(1))
    assert orphan.exists()
    reopened()
    assert not orphan.exists()
