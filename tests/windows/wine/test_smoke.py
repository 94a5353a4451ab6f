"""The program on Windows as its first user meets it, and as a service there."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from pymongo.database import Database

from consumer.os_service.layout import NAME
from tests.faults.events import event
from tests.faults.process import free_port
from tests.support.service import PATH, SECRET, eventually
from tests.support.spool import Sender
from tests.windows.wine.machine import Terminal, Wine

Db = Database[dict[str, Any]]


def test_init_doctor_serve_send_and_ctrl_c(
    wine: Wine, mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    where = {"MONGODB_URI": mongod_uri, "MONGODB_DATABASE": database.name}
    printed = wine.consumer("init", "--public-url", "https://hooks.example.com", cwd=tmp_path)
    assert f"https://hooks.example.com{PATH}" in printed
    examined = json.loads(wine.consumer("doctor", "--json", cwd=tmp_path, settings=where))
    assert [each["name"] for each in examined["checks"] if each["status"] == "ok"]
    name = "Łukasz 王秀英"
    text = json.dumps({"id": "e-1", "type": "contact.created", "name": name})
    (tmp_path / "event.json").write_text(text)
    address = f"127.0.0.1:{free_port()}"

    terminal = Terminal(
        wine, "-m", "consumer", "serve", "--listen", address, cwd=tmp_path, settings=where
    )
    try:
        terminal.await_text("listening")
        url = f"http://{address}{PATH}"
        wine.consumer("send", "event.json", "--url", url, cwd=tmp_path, settings=where)
        terminal.type("\x03")
        status = terminal.wait()
    finally:
        terminal.close()

    assert status == 0, terminal.screen
    assert [one["name"] for one in database["events"].find()] == [name]


def test_a_service_is_installed_started_stopped_under_load_and_removed(
    wine: Wine, mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    # Settings and data outlive a removed service.
    shutil.rmtree(wine.drive / "ProgramData" / NAME, ignore_errors=True)
    address = ("127.0.0.1", free_port())
    (tmp_path / ".env").write_text(
        f"CXONE_SHARED_SECRET='{SECRET}'\nMONGODB_URI={mongod_uri}\n"
        f"MONGODB_DATABASE={database.name}\nCXONE_LISTEN={address[0]}:{address[1]}\n"
    )
    taken: list[int] = []

    def service(*words: str, status: int = 0) -> str:
        return wine.consumer("service", *words, cwd=tmp_path, status=status)

    try:
        assert "Started, and ready." in service("install")
        assert json.loads(service("status", "--json"))["active"] == "running"
        with closing(Sender(address)) as sender:
            assert sender.post(event(0))[0] == 200
        service("stop")
        assert "Started, and ready." in service("start")
        with sending(address, taken):
            eventually(lambda: len(taken) > 100)
            service("stop")
        assert json.loads(service("status", "--json", status=1))["active"] == "stopped"
        assert "listening" in service("logs")
    finally:
        service("uninstall")

    assert "not installed" in service("status", status=1)
    stored = {one["n"] for one in database["events"].find()}
    assert {0, *taken} <= stored


@contextmanager
def sending(address: tuple[str, int], taken: list[int]) -> Iterator[None]:
    """Eight connections send events from number 1 on, until the context ends or nobody answers;
    `taken` are the numbers of those that were acknowledged."""
    numbers = itertools.count(1)
    enough = threading.Event()

    def send() -> None:
        with closing(Sender(address)) as sender, suppress(OSError, HTTPException):
            while not enough.is_set():
                number = next(numbers)
                if sender.post(event(number))[0] in (200, 202):
                    taken.append(number)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join(60)
