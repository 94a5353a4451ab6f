"""A disk that takes no more is told as 503, with nothing half-written, and is used again later."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.errors import StoreUnavailable
from consumer.spool.spool import Spool
from consumer.spool.survey import directory_in, survey
from tests.faults.events import event, verify
from tests.faults.process import Process, process
from tests.faults.test_power_loss import delivery
from tests.support.processes import run as run_command
from tests.support.service import SECRET, eventually
from tests.support.spool import Sender

if sys.platform == "linux":
    import resource

Db = Database[dict[str, Any]]
# Nothing listens there.
NOWHERE = "mongodb://127.0.0.1:9/"
MIB = 1 << 20


@contextmanager
def no_file_grows(service: Process, limit: int) -> Iterator[None]:
    """The kernel cuts off what the service writes beyond `limit` bytes of any file, in the middle
    of a record as it comes, and refuses the rest: what a full disk does, on any file system."""
    if sys.platform == "linux":
        _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (limit, hard))
        try:
            yield
        finally:
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (hard, hard))
    else:
        raise NotImplementedError("no process can be limited from outside here")


def drain(uri: str, database: Db, data_dir: Path) -> dict[str, Any]:
    """The report of `spool drain`, by hand and with MongoDB back."""
    settings = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_DATA_DIR": str(data_dir),
    }
    done = run_command(["spool", "drain", "--json"], data_dir, settings)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
@pytest.mark.parametrize("limit", [pytest.param(0, marks=pytest.mark.slow), 1500])
def test_a_full_disk_is_503_leaves_nothing_half_written_and_is_used_again(
    mongod_uri: str, database: Db, tmp_path: Path, limit: int
) -> None:
    data_dir = tmp_path / "data"
    with process(NOWHERE, database.name, data_dir, cxone_spool_after="100ms") as service:
        sender = Sender(service.address)
        first = [sender.post(event(number))[0] for number in range(3)]
        with no_file_grows(service, limit + _spooled_bytes(data_dir) if limit else 0):
            refused = [sender.answer(event(number)) for number in range(3, 9)]
            while_full = service.ready()
        eventually(lambda: service.ready()["spool"]["ok"])
        last = [sender.post(event(number))[0] for number in range(9, 12)]
        sender.close()
        kept = survey(directory_in(data_dir))

    assert first == last == [202] * 3
    taken = [number for number, answer in enumerate(refused, 3) if answer[0] == 202]
    assert {answer[0] for answer in refused} <= {202, 503}
    full = [answer for answer in refused if answer[0] == 503]
    assert full
    assert all(headers["retry-after"] == "1" for _, headers, _ in full)
    assert b"free or repair the disk" in full[0][2]
    if not limit:
        assert not while_full["spool"]["ok"]
        assert len(full) == len(refused)
    assert kept.depth == 6 + len(taken)
    result = drain(mongod_uri, database, data_dir)
    assert result == {"left": 0, "processed": 6 + len(taken)}
    assert survey(directory_in(data_dir)).damaged == 0
    verify(database, mongod_uri, [0, 1, 2, *taken, 9, 10, 11])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let it go while in use")
def test_a_spool_directory_that_is_gone_is_503_until_it_is_back(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with process(NOWHERE, "nowhere", data_dir, cxone_spool_after="100ms") as service:
        sender = Sender(service.address)
        shutil.rmtree(directory_in(data_dir))
        gone = sender.answer(event(1))
        directory_in(data_dir).mkdir()
        back = sender.post(event(2))[0]
        sender.close()

    assert (gone[0], gone[1]["retry-after"]) == (503, "1")
    assert back == 202
    assert survey(directory_in(data_dir)).depth == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; mounting one needs rights that not every machine gives."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "spool", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.fail(f"this test needs to mount a small tmpfs ({error}): run it as root on Linux")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.faults_full
def test_a_file_system_that_is_full_refuses_and_gives_back_all_it_took(small_disk: Path) -> None:
    taken = []
    with closing(Spool(small_disk / "spool", 64 * MIB, segment_bytes=100_000)) as spool:
        with pytest.raises(StoreUnavailable, match="No space left on device"):
            for number in range(10_000):
                spool.append(delivery(str(number), os.urandom(700)))
                taken.append(str(number))
        assert spool.fault is not None
        # Drained, it has room again: whole segments are deleted.
        half = spool.take(len(taken) // 2)
        spool.remove(half)
        spool.recheck()
        assert spool.fault is None
        spool.append(delivery("after", b"{}"))
    print(f"{len(taken)} deliveries in 1 MiB, then refused")
    with closing(Spool(small_disk / "spool", 64 * MIB)) as again:
        found = [entry.delivery.id for entry in again.take(10_000)]
        assert found == [*taken[len(half) :], "after"]
        assert again.unreadable == 0


def _spooled_bytes(data_dir: Path) -> int:
    return survey(directory_in(data_dir)).bytes
