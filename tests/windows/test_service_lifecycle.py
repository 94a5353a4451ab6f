"""The life of the Windows service: hosted as pywin32 does, with a real MongoDB behind it."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo.database import Database

from consumer.http.server.server import Server
from consumer.ingest.signature import SignatureScheme, sign
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.runtime.vitals import Vitals
from tests.support.service import eventually
from tests.windows.machine import (
    INTERROGATE,
    PRESHUTDOWN,
    RUNNING,
    SPECIFIC_ERROR,
    START_PENDING,
    STOP,
    STOP_PENDING,
    STOPPED,
    ApiError,
    Installed,
    Windows,
)

Db = Database[dict[str, Any]]
SECRET = "a secret for tests"


class Hosted:
    """A service process; `run` is what Windows starts."""

    def __init__(self, windows: Windows, folder: Path) -> None:
        self.windows = windows
        self.main: ModuleType = importlib.import_module("consumer.os_service.windows_main")
        layout = importlib.import_module("consumer.os_service.layout")
        self.layout = layout.WindowsLayout(folder)
        self.status: int | None = None
        self._thread: threading.Thread | None = None

    def write(self, **settings: str) -> None:
        self.layout.root.mkdir(exist_ok=True)
        given = {
            "CXONE_SHARED_SECRET": SECRET,
            "CXONE_LISTEN": "127.0.0.1:0",
            "CXONE_DATA_DIR": str(self.layout.data),
            "CXONE_SPOOL_AFTER": "5s",
            **settings,
        }
        lines = [f"{name}='{value}'\n" for name, value in given.items()]
        self.layout.settings.write_text("".join(lines))

    def start(self, *options: str) -> None:
        # A test that fails before it stops the service must not keep pytest waiting for it.
        self._thread = threading.Thread(target=self._run, args=options, daemon=True)
        self._thread.start()

    def _run(self, *options: str) -> None:
        given = ["--root", str(self.layout.root), "--settings", str(self.layout.settings)]
        self.status = self.main.main([*given, *options])

    def join(self) -> None:
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()

    @property
    def log(self) -> str:
        return str(self.layout.log.read_text(encoding="utf-8"))

    @property
    def url(self) -> str:
        line = next(line for line in self.log.splitlines() if "listening" in line)
        return line[line.index("http://") :].split()[0].strip("\"'")


@pytest.fixture
def hosted(windows: Windows, tmp_path: Path) -> Iterator[Hosted]:
    before = Path.cwd()
    yield Hosted(windows, tmp_path / "cxone-consumer")
    os.chdir(before)


@pytest.fixture
def connected(hosted: Hosted, mongod_uri: str, database: Db) -> Hosted:
    """One whose settings lead to the MongoDB of the tests."""
    hosted.write(MONGODB_URI=mongod_uri, MONGODB_DATABASE=database.name)
    return hosted


@pytest.fixture
def slow_mongodb(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that needs more than four seconds to come up."""
    start = EmbeddedMongo.start

    def slowly(self: EmbeddedMongo) -> EmbeddedMongo:
        threading.Event().wait(4.0)
        return start(self)

    monkeypatch.setattr(EmbeddedMongo, "start", slowly)


def post(url: str, number: int) -> int:
    body = json.dumps({"id": str(number), "type": "contact.created"}).encode()
    headers = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    request = urllib.request.Request(url, body, dict(headers))
    with urllib.request.urlopen(request, timeout=20) as response:
        return int(response.status)


def states(windows: Windows) -> list[int]:
    """Without repetitions."""
    found: list[int] = []
    for status in windows.statuses:
        if not found or found[-1] != status.state:
            found.append(status.state)
    return found


@pytest.mark.parametrize("control", [STOP, PRESHUTDOWN])
def test_it_runs_when_ready_and_drains_when_stopped(
    connected: Hosted, windows: Windows, database: Db, control: int
) -> None:
    connected.start()
    windows.await_state(RUNNING)
    assert post(connected.url, 1) == 200

    windows.control(control)
    connected.join()

    assert states(windows) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    last = windows.statuses[-1]
    assert (last.exit_code, last.specific, connected.status) == (0, 0, 0)
    assert database["events"].count_documents({}) == 1
    assert Path.cwd() == connected.layout.data
    numbers = [number & 0xFFFF for _, number, _ in windows.events]
    assert numbers == [0x1002, 0x1003, 0x1004]


def test_controls_are_accepted_while_it_runs_and_not_while_it_stops(
    connected: Hosted, windows: Windows
) -> None:
    connected.start()
    windows.await_state(RUNNING)
    running = windows.statuses[-1].accepted

    windows.control(STOP)
    with pytest.raises(ApiError):
        windows.control(STOP)
    connected.join()

    assert running == 0x101
    assert {status.accepted for status in windows.statuses if status.state != RUNNING} == {0}


def test_asked_while_it_stops_it_does_not_say_that_it_runs(
    connected: Hosted, windows: Windows
) -> None:
    connected.start()
    windows.await_state(RUNNING)
    windows.control(STOP)

    if windows.state != STOPPED:
        windows.control(INTERROGATE)
    connected.join()

    assert states(windows) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]


def test_a_long_drain_shows_progress_within_the_hint(connected: Hosted, windows: Windows) -> None:
    connected.start()
    windows.await_state(RUNNING)
    # A request whose body does not come: the drain waits for it.
    parts = urlsplit(connected.url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 0)) as slow:
        slow.sendall(
            b"POST /webhook/cxone-dataaction HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        )
        windows.await_state(RUNNING)
        threading.Event().wait(0.3)
        windows.control(STOP)
        threading.Event().wait(4.0)
    connected.join()

    stopping = [status for status in windows.statuses if status.state == STOP_PENDING]
    points = [status.checkpoint for status in stopping]
    assert len(points) >= 4
    assert points == sorted(set(points)) and points[0] > 0
    late = itertools.pairwise(stopping)
    assert all((b.at - a.at) * 1000 < a.wait_hint for a, b in late)
    assert windows.statuses[-1].exit_code == 0


def test_it_does_not_run_before_a_delivery_would_be_kept(
    connected: Hosted,
    windows: Windows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = threading.Event()
    monkeypatch.setattr(Vitals, "ready", lambda self: ready.is_set())
    connected.start()
    threading.Event().wait(3.5)

    waiting = list(windows.statuses)
    ready.set()
    windows.await_state(RUNNING)
    windows.control(STOP)
    connected.join()

    assert {status.state for status in waiting} == {START_PENDING}
    assert len(waiting) >= 4
    late = itertools.pairwise(waiting)
    assert all((b.at - a.at) * 1000 < a.wait_hint for a, b in late)
    assert [status.checkpoint for status in waiting[2:]] == list(range(2, len(waiting))), (
        "a checkpoint that does not grow looks hung"
    )


def test_a_part_that_does_not_move_is_a_warning_in_the_event_log_once(
    connected: Hosted,
    windows: Windows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [None, "it has not moved for 31 s", "it has not moved for 32 s", None, "again"]
    looks = itertools.chain(found, itertools.repeat(None))
    monkeypatch.setattr(Vitals, "stuck", lambda self: next(looks))
    reporter = importlib.import_module("consumer.os_service.windows_service")
    monkeypatch.setattr(reporter.Reporter, "every", 0.05)
    connected.start()
    windows.await_state(RUNNING)

    eventually(lambda: any("again" in text for _, _, (text, *_) in windows.events))
    windows.control(STOP)
    connected.join()

    warnings = [text for kind, _, (text, *_) in windows.events if kind == 2]
    assert warnings == ["cxone-consumer: it has not moved for 31 s", "cxone-consumer: again"]


def test_a_start_that_takes_too_long_ends_with_an_error(
    connected: Hosted,
    windows: Windows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Vitals, "ready", lambda self: False)
    host = importlib.import_module("consumer.os_service.windows_service")
    monkeypatch.setattr(host, "Assignment", partial(host.Assignment, longest_start=1.0))
    connected.start()
    connected.join()

    last = windows.statuses[-1]
    assert (last.state, last.exit_code, last.specific) == (STOPPED, SPECIFIC_ERROR, 0x20000001)
    assert "no delivery could be kept" in connected.log


def test_a_crash_ends_it_with_an_error_that_quotes_nothing(
    connected: Hosted,
    windows: Windows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(self: Server, timeout: float) -> None:
        raise RuntimeError("-".join(("PAYLOAD", "VALUE")))

    monkeypatch.setattr(Server, "_turn", crash)
    connected.start()
    connected.join()

    last = windows.statuses[-1]
    assert (last.state, last.exit_code, last.specific) == (STOPPED, SPECIFIC_ERROR, 0x20000001)
    told = connected.log + str(windows.events)
    assert "RuntimeError" in told
    assert "PAYLOAD-VALUE" not in told
    assert "server.py" in connected.log


def test_wrong_settings_end_it_with_what_is_wrong_in_log_and_event_log(
    hosted: Hosted, windows: Windows
) -> None:
    hosted.write(MONGODB_URI="mongodb://127.0.0.1:1/", CXONE_THREADS="many")
    hosted.start()
    hosted.join()

    assert windows.statuses[-1].specific == 0x20000001
    assert "CXONE_THREADS" in hosted.log
    assert any("CXONE_THREADS" in str(inserts) for _, _, inserts in windows.events)
    assert SECRET not in hosted.log + str(windows.events)


def test_what_fails_before_the_dispatcher_is_in_the_log_file(
    hosted: Hosted, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "servicemanager", None)
    hosted.write()
    hosted.start()
    hosted.join()

    assert hosted.status == 1
    assert "servicemanager" in hosted.log
    assert "Traceback" in hosted.log


def test_wrong_arguments_are_in_the_log_file(hosted: Hosted, windows: Windows) -> None:
    hosted.start("--no-such-option")
    hosted.join()

    assert hosted.status == 1
    assert "could not be hosted" in hosted.log


def test_the_log_is_as_the_settings_say(
    hosted: Hosted, windows: Windows, mongod_uri: str, database: Db
) -> None:
    hosted.write(MONGODB_URI=mongod_uri, MONGODB_DATABASE=database.name, LOG_FORMAT="json")
    hosted.start()
    windows.await_state(RUNNING)
    windows.control(STOP)
    hosted.join()

    assert json.loads(hosted.log.splitlines()[-1])["event"] == "stopped"


def test_it_brings_a_mongodb_of_its_own_along_when_it_shall(
    hosted: Hosted, windows: Windows
) -> None:
    hosted.write()
    hosted.start("--embedded")
    windows.await_state(RUNNING, timeout=60)
    assert post(hosted.url, 1) == 200
    windows.control(STOP)
    hosted.join()

    assert states(windows) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    assert windows.statuses[-1].exit_code == 0


def test_once_it_stops_it_never_says_that_it_runs(connected: Hosted, windows: Windows) -> None:
    def stop(state: int) -> None:
        # In the very moment in which it accepts that.
        if state == RUNNING:
            threading.Thread(target=windows.control, args=(STOP,), daemon=True).start()
            windows.await_state(STOP_PENDING)

    windows.on_status = stop
    connected.start()
    connected.join()

    assert states(windows) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    assert windows.statuses[-1].exit_code == 0


def test_a_stop_during_the_start_of_its_mongodb_ends_it_once_it_runs(
    hosted: Hosted, windows: Windows, slow_mongodb: None
) -> None:
    scm = importlib.import_module("consumer.os_service.windows_scm")
    windows.services["cxone-consumer"] = Installed("", 2, "", None, None)
    hosted.write()
    hosted.start("--embedded")
    windows.await_state(START_PENDING)
    with pytest.raises(ApiError, match="cannot accept controls"):
        windows.control(STOP)

    scm.end_run(60.0)
    hosted.join()

    assert states(windows) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    assert windows.statuses[-1].exit_code == 0


def test_the_start_shows_progress_while_its_mongodb_comes_up(
    hosted: Hosted, windows: Windows, slow_mongodb: None
) -> None:
    hosted.write()
    hosted.start("--embedded")
    windows.await_state(RUNNING, timeout=60)
    windows.control(STOP)
    hosted.join()

    starting = [status for status in windows.statuses if status.state == START_PENDING]
    assert len(starting) >= 5
    assert all((b.at - a.at) < 2.5 for a, b in itertools.pairwise(starting))
    points = [status.checkpoint for status in starting[1:]]
    assert points == sorted(set(points))


def test_asked_while_it_runs_it_announces_nothing(connected: Hosted, windows: Windows) -> None:
    connected.start()
    windows.await_state(RUNNING)
    windows.control(INTERROGATE)
    said = windows.statuses[-1]
    windows.control(STOP)
    connected.join()

    assert (said.state, said.checkpoint, said.wait_hint, said.accepted) == (RUNNING, 0, 0, 0x101)


def test_requests_under_way_are_answered_before_it_stops(
    connected: Hosted, windows: Windows, database: Db
) -> None:
    connected.start()
    windows.await_state(RUNNING)
    url, answers = connected.url, []

    def send(number: int) -> None:
        try:
            answers.append(post(url, number))
        except urllib.error.URLError:
            # Came after the listener had closed: refused, not lost.
            return

    senders = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    for sender in senders:
        sender.start()
    windows.control(PRESHUTDOWN)
    for sender in senders:
        sender.join(30)
    connected.join()

    assert set(answers) <= {200}
    assert database["events"].count_documents({}) == len(answers)
