"""A secret is changed under traffic: nothing is refused, and the doctor tells how far it is."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from structlog.testing import capture_logs

from config import loading as configuration
from consumer.cli.doctor import examine
from consumer.doctor.check import Check
from consumer.ingest.signature import SignatureScheme, fingerprint, sign
from consumer.monitoring.secret_use import SecretUse
from tests.support.processes import run, serving
from tests.support.senders import Address
from tests.support.service import PATH, dead_letters, eventually, running_service

Db = Database[dict[str, Any]]
OLD, NEW = "the old secret: R7x-kQ2v", "the new secret: b9W_pL4t"


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port


def settings(uri: str, database: Db, **more: str) -> dict[str, str]:
    return {
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_SPOOL_AFTER": "5s",
        **more,
    }


def post(address: Address, secret: str, event: dict[str, Any]) -> int:
    """The status of one signed POST; raises OSError or HTTPException without an answer."""
    body = json.dumps(event).encode()
    headers = sign(SignatureScheme(), secret.encode(), body, datetime.now(timezone.utc))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(
            f"POST {PATH} HTTP/1.0\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body
        )
        answer = connection.recv(4096)
    if not answer:
        raise ConnectionResetError
    return int(answer.split()[1])


class Senders:
    """Threads that post one event after another, again until it is answered; each changes its
    secret at a moment of its own after `change` was called."""

    def __init__(self, address: Address, count: int) -> None:
        self._address = address
        self._stop = threading.Event()
        self._change_from: float | None = None
        self.statuses: list[int] = []
        self.sent: list[str] = []
        self.changed: set[int] = set()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def change(self, within: float) -> None:
        self._within = within
        self._change_from = time.monotonic()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        moment = chance.random()
        count = 0
        while not self._stop.is_set():
            start = self._change_from
            if start is not None and time.monotonic() >= start + moment * self._within:
                self.changed.add(number)
            event = {"id": f"{number}-{count}", "type": "t"}
            try:
                self.statuses.append(
                    post(self._address, NEW if number in self.changed else OLD, event)
                )
            except (OSError, HTTPException):
                time.sleep(0.02)  # restarting: the same event again
                continue
            self.sent.append(str(event["id"]))
            count += 1
            time.sleep(chance.random() * 0.05)


@pytest.mark.slow
def test_secret_is_changed_under_traffic_without_a_refused_delivery(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    port = free_port()
    listen = ["--listen", f"127.0.0.1:{port}"]
    steps = (
        {"CXONE_SHARED_SECRET": OLD},
        {"CXONE_SHARED_SECRET": NEW, "CXONE_SHARED_SECRET_PREVIOUS": OLD},
        {"CXONE_SHARED_SECRET": NEW},
    )
    senders = Senders(("127.0.0.1", port), 6)
    try:
        for number, step in enumerate(steps):
            with serving(tmp_path, settings(mongod_uri, database, **step), listen) as running:
                wanted = len(senders.sent) + 60
                if number == 1:
                    senders.change(within=1.0)
                    eventually(lambda: len(senders.changed) == 6, 20)
                while len(senders.sent) < wanted:
                    time.sleep(0.02)
                assert running.terminate() == 0
    finally:
        senders.stop()

    assert set(senders.statuses) == {200}
    assert len(senders.sent) > 180
    assert set(database["events"].distinct("id")) == set(senders.sent)
    old, new = (
        SecretUse(database["secret_use"]).of(fingerprint(one.encode())) for one in (OLD, NEW)
    )
    assert old is not None
    assert new is not None
    # Every verified delivery is in the record, over three processes.
    assert old.deliveries + new.deliveries >= len(senders.statuses)
    assert old.last_used is not None
    assert new.last_used is not None
    assert old.last_used < new.last_used


def doctor(given: dict[str, str]) -> list[Check]:
    rows = examine(configuration.load(given, {}), None)
    return [check for check in rows if check.name == "secrets in use"]


def test_doctor_says_which_secrets_sign_and_when_the_previous_one_can_go(
    mongod_uri: str, database: Db
) -> None:
    rotating = {"cxone_shared_secret": NEW, "cxone_shared_secret_previous": OLD}
    given = settings(mongod_uri, database, **{name.upper(): rotating[name] for name in rotating})
    at_first = doctor(given)
    with running_service(mongod_uri, database.name, **rotating) as client:
        assert post(client.service.server.address, OLD, {"id": "1", "type": "t"}) == 200
    in_use = doctor(given)
    days_ago = datetime.now(timezone.utc) - timedelta(days=3)
    database["secret_use"].update_one(
        {"_id": fingerprint(OLD.encode())}, {"$set": {"since": days_ago, "last_used": days_ago}}
    )
    silent = doctor(given)
    with running_service(mongod_uri, database.name, **rotating) as client:
        assert post(client.service.server.address, NEW, {"id": "2", "type": "t"}) == 200
    over = doctor(given)

    assert ["not signed a delivery yet" in at_first[0].finding, len(at_first)] == [True, 2]
    assert (in_use[1].status, "still in use" in in_use[1].finding) == ("warn", True)
    assert "current one neither" in silent[1].finding
    assert "last signed a delivery" in over[0].finding
    assert "no longer in use" in over[1].finding
    assert over[1].advice == "remove CXONE_SHARED_SECRET_PREVIOUS and restart"
    kept = str(list(database["secret_use"].find()))
    assert OLD not in kept
    assert NEW not in kept


def test_deliveries_refused_before_the_right_secret_was_set_are_recovered_by_dlq_retry(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    with running_service(mongod_uri, database.name, cxone_shared_secret=OLD) as client:
        address = client.service.server.address
        refused = [post(address, NEW, {"id": str(n), "type": "t"}) for n in range(20)]
        forged = post(address, "somebody else's", {"id": "forged", "type": "t"})
        eventually(lambda: len(dead_letters(database)) == 21)

    right = settings(mongod_uri, database, CXONE_SHARED_SECRET=NEW)
    finished = run(["dlq", "retry", "--reason", "signature_invalid"], tmp_path, right)

    assert (set(refused), forged) == ({401}, 401)
    assert database["events"].count_documents({}) == 20, finished.stdout + finished.stderr
    assert database["events"].count_documents({"id": "forged"}) == 0
    states = [entry["status"] for entry in dead_letters(database)]
    assert sorted(set(states)) == ["pending_inspection", "resolved"]
    assert states.count("resolved") == 20


@pytest.mark.parametrize(("length", "told"), [(15, ["current"]), (16, [])])
def test_a_short_secret_stops_nobody_and_is_told_at_the_start(
    mongod_uri: str, database: Db, length: int, told: list[str]
) -> None:
    given = {"cxone_shared_secret": "x" * length}
    with capture_logs() as lines, running_service(mongod_uri, database.name, **given) as client:
        eventually(lambda: client.get("/healthz").status == 200)

    short = [line for line in lines if str(line["event"]).startswith("a secret is short")]
    assert [line["secret"] for line in short] == told
    assert {line["log_level"] for line in short} <= {"warning"}
