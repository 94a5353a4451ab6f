"""The service's word to systemd: ready when ready, alive while alive, and when it ends."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo.database import Database

from config import loading as configuration
from config.environment import Supervision
from consumer.http.health import Condition
from consumer.os_service.systemd_notify import Notifier, Systemd
from consumer.os_service.watch import watched
from consumer.runtime.service import Service, hosted
from tests.support.processes import serving
from tests.support.service import SECRET, eventually, running_service
from tests.support.systemd import NotifySocket

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd is not on Windows")

Db = Database[dict[str, Any]]
# A port on which nothing listens.
NOWHERE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"


@pytest.fixture
def listening() -> Iterator[NotifySocket]:
    # Not `tmp_path`: the name of a socket has 107 bytes at most.
    with (
        tempfile.TemporaryDirectory(prefix="cxone-") as directory,
        NotifySocket(f"{directory}/notify") as listener,
    ):
        yield listener


def is_ready(lines: list[str]) -> bool:
    return "READY=1" in lines


def pings(lines: list[str]) -> int:
    return lines.count("WATCHDOG=1")


def test_a_process_says_ready_alive_and_stopping(
    mongod_uri: str, database: Db, tmp_path: Path, listening: NotifySocket
) -> None:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
        "NOTIFY_SOCKET": listening.address,
        "WATCHDOG_USEC": "600000",
        "CXONE_DRAIN_TIMEOUT": "20s",
    }
    with serving(tmp_path, given) as running:
        begin = listening.read(is_ready)
        told = listening.read(lambda lines: any("taking webhooks" in line for line in lines))
        alive = listening.during(1.5)
        assert running.terminate() == 0
        end = listening.read(lambda lines: "STOPPING=1" in lines)

    assert any(line.startswith(f"STATUS=taking webhooks on {running.url}") for line in told)
    assert pings(begin) == 0
    assert pings(alive) >= 4
    assert "EXTEND_TIMEOUT_USEC=65000000" in end


def test_it_is_ready_without_mongodb_because_the_spool_keeps_deliveries(
    tmp_path: Path, listening: NotifySocket
) -> None:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": NOWHERE,
        "CXONE_STORE_TIMEOUT": "200ms",
        "NOTIFY_SOCKET": listening.address,
    }
    with serving(tmp_path, given):
        assert listening.read(is_ready)


@contextmanager
def supervised(
    service: Service, listener: NotifySocket, *, silence: float = 3.5
) -> Iterator[Systemd]:
    """A watch over a service that runs already, with less patience than in earnest."""
    vitals = dataclasses.replace(service.vitals, silence=silence)
    systemd = Systemd(Supervision(listener.address, watchdog=0.6), longest_stop=30)
    with watched(systemd) as look_at:
        look_at(vitals)
        yield systemd


def test_a_stuck_accept_loop_is_not_called_alive(
    mongod_uri: str, database: Db, listening: NotifySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_service(mongod_uri, database.name) as client:
        server = client.service.server
        with supervised(client.service, listening):
            listening.read(lambda lines: pings(lines) > 0)
            release = threading.Event()
            turn = server._turn
            monkeypatch.setattr(server, "_turn", lambda timeout: (release.wait(20), turn(timeout)))
            stuck = listening.read(lambda lines: any("stuck: the accept" in li for li in lines))
            silent = listening.during(1.0)
            release.set()
            assert listening.read(lambda lines: pings(lines) > 0)

    assert stuck
    assert pings(silent) == 0


@pytest.mark.parametrize("which", ["scheduler", "drain"])
def test_a_dead_scheduler_is_not_called_alive(
    mongod_uri: str, database: Db, listening: NotifySocket, which: str
) -> None:
    with running_service(mongod_uri, database.name) as client:
        with supervised(client.service, listening):
            listening.read(lambda lines: pings(lines) > 0)
            getattr(client.service._periodic, which).stop()
            listening.read(lambda lines: any("stuck: the scheduler" in line for line in lines))
            silent = listening.during(1.0)
        assert client.get("/healthz").status == 200

    assert pings(silent) == 0


def test_it_is_not_ready_while_nothing_would_keep_a_delivery(
    tmp_path: Path, listening: NotifySocket
) -> None:
    settings = configuration.load(
        {
            "CXONE_SHARED_SECRET": SECRET,
            "CXONE_LISTEN": "127.0.0.1:0",
            "CXONE_DATA_DIR": str(tmp_path / "data"),
            "MONGODB_URI": NOWHERE,
            "CXONE_STORE_TIMEOUT": "200ms",
        },
        {},
    )
    full = [True]
    with hosted(settings, embedded=False) as service:
        real = service.vitals.checks["spool"]
        vitals = dataclasses.replace(
            service.vitals,
            checks={
                **service.vitals.checks,
                "spool": lambda: Condition(False, "disk full") if full[0] else real(),
            },
        )
        thread = threading.Thread(target=service.run, daemon=True)
        with watched(Systemd(Supervision(listening.address), longest_stop=30)) as look_at:
            look_at(vitals)
            thread.start()
            try:
                # Only what keeps deliveries is missing now.
                eventually(lambda: all(each() is not None for each in vitals.silences.values()))
                before = listening.during(2.0)
                full[0] = False
                after = listening.read(is_ready)
            finally:
                service.stop()
                thread.join(20)

    assert "READY=1" not in before
    assert any(line.startswith("STATUS=starting") for line in before)
    assert after


def test_no_signs_of_life_are_sent_that_nobody_asked_for(listening: NotifySocket) -> None:
    Systemd(Supervision(listening.address), longest_stop=30).alive()
    assert listening.during(0.2) == []

    Systemd(Supervision(listening.address, watchdog=30.0), longest_stop=30).alive()
    assert listening.during(0.2) == ["WATCHDOG=1"]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are on Linux alone")
def test_a_socket_without_a_file_is_reached_by_its_name() -> None:
    with NotifySocket(f"@cxone-{uuid4().hex}") as listener:
        Notifier(listener.address).send("READY=1", "STATUS=well")

        assert listener.during(0.2) == ["READY=1", "STATUS=well"]


def test_news_for_nobody_cost_nothing(tmp_path: Path) -> None:
    Notifier(None).send("READY=1")
    Notifier(str(tmp_path / "gone")).send("READY=1")
