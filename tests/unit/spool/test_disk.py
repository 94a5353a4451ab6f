"""A disk that is slow, full or failing costs no delivery that was taken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from consumer.errors import SetupError, StoreUnavailable
from consumer.spool import Spool
from tests.spools import MIB, FailingDisk, SlowDisk, delivery, files_of, ids


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
