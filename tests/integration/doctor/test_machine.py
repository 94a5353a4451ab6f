"""doctor on this machine: its data directory and its address."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from filelock import FileLock

from consumer.core.data_dir import LOCK, OWNER
from consumer.doctor import machine
from tests.support.doctor import one, settings_of, target
from tests.support.senders import web_server


def test_a_data_directory_that_is_not_there_yet_is_well_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"

    there, room = machine.data_directory(target(settings_of(cxone_data_dir=str(path))))

    assert there.status == "ok"
    assert "will be made" in there.finding
    assert room.name == "free space"
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_in_use_says_that_the_service_runs(tmp_path: Path) -> None:
    (tmp_path / OWNER).write_text("{}")
    settings = settings_of(cxone_data_dir=str(tmp_path))

    with FileLock(tmp_path / LOCK):
        in_use = next(machine.data_directory(target(settings)))
    left = next(machine.data_directory(target(settings)))

    assert "the service is running" in in_use.finding
    assert "writable" in left.finding


def test_a_file_in_place_of_the_data_directory_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    check = one(machine.data_directory(target(settings_of(cxone_data_dir=str(tmp_path / "data")))))

    assert check.status == "fail"


@pytest.mark.parametrize(
    ("free", "status"), [(10 << 20, "fail"), (500 << 20, "warn"), (5 << 30, "ok")]
)
def test_too_little_room_is_told(free: int, status: str) -> None:
    assert machine.free_space(Path("x"), free).status == status


def test_a_free_listen_address_is_well() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert machine.listen_at("127.0.0.1", port, 1).status == "ok"


def test_an_address_of_another_machine_is_a_fault() -> None:
    assert machine.listen_at("192.0.2.1", 8080, 1).status == "fail"


def test_a_port_of_another_program_is_told_from_our_own() -> None:
    with web_server(lambda _: (200, {}, b"hello")) as other:
        taken = machine.listen_at("127.0.0.1", other, 2)
    with web_server(lambda _: (200, {}, b'{"status":"ok"}')) as ours:
        running = machine.listen_at("127.0.0.1", ours, 2)

    assert taken.status == "fail"
    assert "another program" in taken.finding
    assert running.status == "ok"
    assert "the service runs there" in running.finding
