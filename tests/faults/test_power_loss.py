"""No acknowledged delivery is lost when power is, at any point of the work of a spool."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.spool.erase import erase_deliveries
from consumer.spool.spool import Spool
from consumer.spool.survey import deliveries
from tests.faults.disk import Op, PowerLoss, RecordingDisk

MIB = 1 << 20
NOW = datetime(2026, 5, 4, tzinfo=timezone.utc)


def delivery(name: str, body: bytes) -> Delivery:
    return Delivery(name, body, Headers({"user-agent": "cxone"}), NOW, Verdict("current", NOW))


def work(
    directory: Path,
    chance: random.Random,
    found: dict[Path, bytes] | None = None,
    eras: tuple[str, ...] = ("a", "b", "c"),
) -> list[Op]:
    """The log of a spool that four threads fill while a fifth drains it, over restarts between the
    eras; it begins with the files `found`."""
    disk = RecordingDisk()
    if found:
        directory.mkdir()
        disk.found({directory / path.name: content for path, content in found.items()})
    for era in eras:
        with closing(Spool(directory, 64 * MIB, segment_bytes=2000, files=disk)) as spool:
            bodies = {
                f"{era}-{writer}-{n}": chance.randbytes(chance.randint(0, 600))
                for writer in range(4)
                for n in range(8)
            }
            threads = [
                threading.Thread(target=_fill, args=(spool, disk, bodies, f"{era}-{writer}-"))
                for writer in range(4)
            ]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                _drain(spool, disk, chance)
            for thread in threads:
                thread.join()
            if chance.random() < 0.5:
                _drain(spool, disk, chance)
    return disk.log


def _fill(spool: Spool, disk: RecordingDisk, bodies: dict[str, bytes], mine: str) -> None:
    for name, body in bodies.items():
        if name.startswith(mine):
            spool.append(delivery(name, body))
            disk.mark(("acknowledged", name, body))


def _drain(spool: Spool, disk: RecordingDisk, chance: random.Random) -> None:
    entries = spool.take(chance.randint(1, 6))
    stored = [entry for entry in entries if chance.random() < 0.8]
    for entry in stored:
        disk.mark(("stored", entry.delivery.id, b""))
    spool.remove(stored)


def owed(log: list[Op]) -> dict[str, bytes]:
    """Deliveries that were acknowledged and not stored elsewhere before the log ends."""
    marks = [op.mark for op in log if op.kind == "mark"]
    bodies = {name: body for what, name, body in marks if what == "acknowledged"}
    for what, name, _ in marks:
        if what == "stored":
            bodies.pop(name, None)
    return bodies


def lost(
    log: list[Op], files: dict[Path, bytes], directory: Path, before: dict[str, bytes] | None = None
) -> list[str]:
    """Deliveries owed, of this log and before, that a spool opened on the files that are left
    does not give back unaltered."""
    directory.mkdir()
    for path, content in files.items():
        (directory / path.name).write_bytes(content)
    stored = {op.mark[1] for op in log if op.kind == "mark" and op.mark[0] == "stored"}
    earlier = {name: body for name, body in (before or {}).items() if name not in stored}
    with closing(Spool(directory, 64 * MIB)) as spool:
        found = {entry.delivery.id: entry.delivery.body for entry in spool.take(10_000)}
    return [name for name, body in (earlier | owed(log)).items() if found.get(name) != body]


def crash(tmp_path: Path, runs: int, points: int) -> int:
    """The number of crash points tried; fails where one lost something. Of every ten the last is
    a second loss of power, in the work on what the first one left."""
    tried = 0
    for seed in range(runs):
        chance = random.Random(seed)
        log = work(tmp_path / f"run-{seed}", chance)
        for point in range(points):
            cut = chance.randint(0, len(log))
            files = PowerLoss(log[:cut]).survivors(chance)
            place = tmp_path / f"crash-{seed}-{point}"
            gone = lost(log[:cut], files, place)
            assert not gone, f"seed {seed}, after {cut} of {len(log)} operations: {gone}"
            tried += 1
            if point % 10 == 8 and point + 1 < points:
                more = work(tmp_path / f"again-{seed}-{point}", chance, files, eras=("d", "e"))
                begun = next(at for at, op in enumerate(more) if op.kind == "sync_directory") + 1
                end = chance.randint(begun if files else 0, len(more))
                left = PowerLoss(more[:end]).survivors(chance)
                gone = lost(more[:end], left, place.with_suffix(".again"), owed(log[:cut]))
                assert not gone, f"seed {seed}, {cut} and then {end} operations: {gone}"
    return tried


def test_nothing_acknowledged_is_lost_with_the_power(tmp_path: Path) -> None:
    assert crash(tmp_path, runs=4, points=25) == 100


@pytest.mark.faults_full
def test_nothing_acknowledged_is_lost_at_1000_crash_points(tmp_path: Path) -> None:
    assert crash(tmp_path, runs=25, points=40) == 1000


@pytest.mark.parametrize("forgotten", ["sync", "sync_directory"])
def test_the_model_notices_a_forgotten_sync(tmp_path: Path, forgotten: str) -> None:
    chance = random.Random(1)
    log = [op for op in work(tmp_path / "run", chance) if op.kind != forgotten]

    losses = []
    for point in range(20):
        cut = chance.randint(0, len(log))
        files = PowerLoss(log[:cut]).survivors(chance)
        losses.append(lost(log[:cut], files, tmp_path / f"crash-{point}"))

    assert any(losses)


def test_erasing_loses_no_other_delivery_with_the_power(tmp_path: Path) -> None:
    chance = random.Random(7)
    directory = tmp_path / "spool"
    disk = RecordingDisk()
    bodies = {f"{kind}-{n}": chance.randbytes(300) for n in range(20) for kind in ("gone", "kept")}
    with closing(Spool(directory, 64 * MIB, segment_bytes=4000, files=disk)) as spool:
        for name, body in bodies.items():
            spool.append(delivery(name, body))
    before = len(disk.log)
    kept = {name for name in bodies if name.startswith("kept")}

    assert erase_deliveries(directory, lambda each: each.id.startswith("gone"), disk) == 20

    for cut in range(before, len(disk.log) + 1):
        for number in range(5):
            files = PowerLoss(disk.log[:cut]).survivors(chance)
            place = tmp_path / f"{cut}-{number}"
            place.mkdir()
            for path, content in files.items():
                (place / path.name).write_bytes(content)
            with closing(Spool(place, 64 * MIB)) as spool:
                assert kept <= {entry.delivery.id for entry in spool.take(1000)}
    assert {each.id for each in deliveries(directory)} == kept
