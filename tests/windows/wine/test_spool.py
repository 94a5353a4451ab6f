"""The spool on Windows: outages, TerminateProcess, files that others hold, long paths."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.spool.survey import Survey, directory_in, survey
from tests.conftest import MongodFactory
from tests.faults.events import verify
from tests.faults.process import free_port
from tests.faults.senders import Answered, send_all
from tests.support.processes import Serving
from tests.support.service import SECRET, eventually
from tests.windows.wine.machine import Wine, terminate_process, windows_path

Db = Database[dict[str, Any]]
# Opens files for itself alone, as a backup or a virus scanner may, until its standard input ends.
_HOLDING = """
import sys, win32con, win32file
held = [
    win32file.CreateFile(name, win32con.GENERIC_READ, 0, None, win32con.OPEN_EXISTING, 0, None)
    for name in sys.argv[1:]
]
print("held", flush=True)
sys.stdin.read()
"""


def settings(uri: str, database: str, data_dir: Path) -> Mapping[str, str]:
    return {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database,
        "CXONE_DATA_DIR": windows_path(data_dir),
    }


def await_more(answers: list[Answered]) -> None:
    """Return when another delivery was answered."""
    before = len(answers)
    eventually(lambda: len(answers) > before, 120)


def waiting(data_dir: Path) -> Survey:
    return survey(directory_in(data_dir))


def test_an_outage_of_mongodb_is_spooled_and_drained_from_a_long_path(
    wine: Wine, mongod_factory: MongodFactory, tmp_path: Path
) -> None:
    server = mongod_factory()
    place, port, uri = server.log_file.parent, server.port, server.uri
    # More than the 260 characters that Windows takes of a program that does not say otherwise.
    data_dir = tmp_path.joinpath(*["a folder with a name of forty characters"] * 6)
    data_dir.mkdir(parents=True)
    assert len(windows_path(data_dir)) > 260
    address = ("127.0.0.1", free_port())
    answers: list[Answered] = []

    given = settings(uri, "outage", data_dir)
    with wine.serving(tmp_path, given, f"127.0.0.1:{address[1]}"):
        send_all(address, range(20), 4, answers)
        server.stop(grace=0)
        send_all(address, range(20, 120), 4, answers)
        assert waiting(data_dir).depth
        mongod_factory(place, port=port)
        eventually(lambda: waiting(data_dir).depth == 0)

    assert {202} <= {answer.status for answer in answers} <= {200, 202}
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        verify(client["outage"], uri, range(120))


@pytest.mark.slow
def test_five_times_terminate_process_under_load_loses_nothing_acknowledged(
    wine: Wine, mongod_factory: MongodFactory, tmp_path: Path
) -> None:
    server = mongod_factory()
    place, port, uri = server.log_file.parent, server.port, server.uri
    data_dir = tmp_path / "data"
    address = ("127.0.0.1", free_port())
    count, answers = 3000, list[Answered]()
    given = settings(uri, "killed", data_dir)
    load = threading.Thread(target=send_all, args=(address, range(count), 8, answers))
    chance = random.Random(7)

    load.start()
    for number in range(5):
        with wine.serving(tmp_path, given, f"127.0.0.1:{address[1]}") as service:
            await_more(answers)
            time.sleep(chance.uniform(0.5, 2))
            terminate_process(service.process)
        if number == 1:
            server.stop(grace=0)
        elif number == 3:
            mongod_factory(place, port=port)
    with wine.serving(tmp_path, given, f"127.0.0.1:{address[1]}"):
        load.join(300)
        eventually(lambda: waiting(data_dir).depth == 0)

    assert {202} <= {answer.status for answer in answers} <= {200, 202}
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        verify(client["killed"], uri, range(count))


def test_files_that_another_program_holds_are_waited_for_and_not_set_aside(
    wine: Wine, mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    address = ("127.0.0.1", free_port())
    nowhere = f"mongodb://127.0.0.1:{free_port()}"
    answers: list[Answered] = []
    given = settings(nowhere, database.name, data_dir)
    with wine.serving(tmp_path, given, f"127.0.0.1:{address[1]}"):
        send_all(address, range(50), 4, answers)
    assert waiting(data_dir).depth == 50

    given = settings(mongod_uri, database.name, data_dir)
    files = [windows_path(file) for file in directory_in(data_dir).iterdir()]
    holder = wine.start("-c", _HOLDING, *files, cwd=tmp_path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    started = wine.serve(tmp_path, given)
    assert started.stderr is not None
    try:
        first = next(line for line in started.stderr if "in use" in line or "listening" in line)
        assert "a file of the spool is in use" in first
        holder.communicate()
        Serving(started)
        eventually(lambda: waiting(data_dir).depth == 0)
    finally:
        terminate_process(started)

    assert waiting(data_dir).damaged == 0
    verify(database, mongod_uri, range(50))
