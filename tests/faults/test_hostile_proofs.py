"""Requests of all kinds of proof, changed in every way: what is taken, and as which event, an
oracle says that shares no code with the service."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest
from pymongo.database import Database

from tests.faults.proof_oracle import Identity, Judged, Oracle
from tests.faults.proof_requests import MAIN_SECRETS, SENDERS, SETTINGS, Requests
from tests.support.service import Client, eventually, running_service

Db = Database[dict[str, Any]]
THREADS = 4


@pytest.fixture
def client(mongod_uri: str, database: Db, tmp_path: Path) -> Iterator[Client]:
    config = tmp_path / "sources.toml"
    config.write_text(SETTINGS, encoding="utf-8")
    settings = {
        "cxone_config": str(config),
        "cxone_shared_secret_previous": MAIN_SECRETS[1].decode(),
        "cxone_spool_after": "30s",
    }
    with running_service(mongod_uri, database.name, **settings) as client:
        yield client


class Wire:
    """A connection that is opened again where the other side closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def ask(self, raw: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=120)
            self._received = self._socket.makefile("rb")
        self._socket.sendall(raw)
        status = int(self._received.readline().split()[1])
        headers = {}
        while line := self._received.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip().lower()
        bodiless = raw.startswith(b"HEAD ")
        length = 0 if bodiless else int(headers.get(b"content-length", 0))
        body = self._received.read(length)
        if headers.get(b"connection") == b"close":
            self.close()
        return status, body

    def close(self) -> None:
        if self._socket is not None:
            self._received.close()
            self._socket.close()
            self._socket = None


@contextmanager
def wire(client: Client) -> Iterator[Wire]:
    connection = Wire(client.service.server.address)
    try:
        yield connection
    finally:
        connection.close()


def fault(judged: Judged, status: int) -> bool:
    """True for an answer other than the oracle's."""
    if judged.why == "unproven":
        return status != 401
    if judged.why:
        return status not in (400, 404, 405)
    return status not in ((200, 202) if judged.event else (400,))


def put_through(
    client: Client, count: int, seed: int, token: bytes
) -> tuple[list[str], set[Identity], Counter[str]]:
    """Send `count` requests of the seed: the faults, the events taken, how often what was due."""
    oracle = Oracle(SENDERS)
    requests = Requests(seed, oracle, {"hub": token})
    secrets = [secret for sender in SENDERS for secret in sender.secrets]
    faults, events, due = [], set(), Counter[str]()
    with wire(client) as connection:
        for number in range(count):
            raw = requests.next()
            judged = oracle.judge(raw)
            status, body = connection.ask(raw)
            due[judged.why or ("event" if judged.event else "no event")] += 1
            if judged.event:
                events.add(judged.event)
            if fault(judged, status) or any(secret in body for secret in secrets):
                faults.append(f"seed {seed} number {number}: {judged}, {status} {body!r}: {raw!r}")
    return faults, events, due


def stored(database: Db) -> Counter[Identity]:
    joined = {
        sender.name for sender in SENDERS if len(sender.id) > 1 and isinstance(sender.id, tuple)
    }
    found = Counter[Identity]()
    for document in database["events"].find({"_meta.repairs": None}, {"_meta": 1}):
        meta = document["_meta"]
        source = meta.get("source", "main")
        key = meta["key"] if source in joined else json.dumps(meta["key"])
        found[source, meta["subject"], key, meta["digest"]] += 1
    return found


@pytest.mark.parametrize(
    "count",
    [pytest.param(600, id="some"), pytest.param(30_000, id="many", marks=pytest.mark.slow)],
)
def test_what_is_taken_and_as_which_event_is_what_an_oracle_says(
    client: Client, database: Db, count: int
) -> None:
    seed = SystemRandom().randrange(10**6) * THREADS
    print("seed", seed)
    form = b"grant_type=client_credentials&client_id=hub&client_secret=a client secret of hub"
    coded = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.request("POST", "/oauth2/token", form.replace(b" ", b"+"), coded)
    token = answer.json["access_token"].encode()

    with ThreadPoolExecutor(THREADS) as pool:
        each = [
            pool.submit(put_through, client, count // THREADS, seed + n, token)
            for n in range(THREADS)
        ]
        results = [one.result() for one in each]

    faults = [fault for one, _, _ in results for fault in one]
    due = sum((one for _, _, one in results), Counter[str]())
    print(dict(due))
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:20])
    assert all(due[why] for why in ("framing", "no route", "unproven", "event", "no event"))
    events = set().union(*(one for _, one, _ in results))
    eventually(lambda: len(stored(database)) >= len(events))
    assert stored(database) == Counter(dict.fromkeys(events, 1))
