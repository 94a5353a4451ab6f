"""/readyz and READY tell whether a delivery would be kept."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from tests.support.service import Answer, Client, eventually, running_service

Db = Database[dict[str, Any]]
# Nothing listens there.
NOWHERE = "mongodb://127.0.0.1:9/"


@contextmanager
def writes_locked(uri: str) -> Iterator[None]:
    """The server answers, but takes no write until the end."""
    with MongoClient[dict[str, Any]](uri) as client:
        client.admin.command("fsync", lock=True)
        try:
            yield
        finally:
            client.admin.command("fsyncUnlock")


def filled(client: Client) -> list[int]:
    """The statuses of deliveries of a megabyte until the spool takes no more."""
    statuses = [202]
    while statuses[-1] == 202 and len(statuses) < 40:
        body = b'{"id":"%d","type":"t","x":"%b"}' % (len(statuses), b"x" * 900_000)
        statuses.append(client.post(body).status)
    return statuses


def readiness(client: Client) -> tuple[int, bool, bool]:
    answer = client.get("/readyz")
    return answer.status, answer.json["mongodb"]["ok"], answer.json["spool"]["ok"]


def test_a_mongodb_that_takes_no_writes_is_not_ready_before_anybody_tried(
    mongod_factory: Callable[..., EmbeddedMongo],
) -> None:
    uri = mongod_factory().uri
    with running_service(uri, "readiness") as client:
        eventually(lambda: readiness(client) == (200, True, True), 60)
        with writes_locked(uri):
            eventually(lambda: readiness(client) == (200, False, True), 60)
            detail = client.get("/readyz").json["mongodb"]["detail"]
        eventually(lambda: readiness(client) == (200, True, True), 60)

    assert "no write is taken" in detail


def test_nothing_is_ready_while_mongodb_takes_no_writes_and_the_spool_is_full(
    mongod_factory: Callable[..., EmbeddedMongo],
) -> None:
    uri = mongod_factory().uri
    given = {"cxone_spool_max_bytes": "32MiB", "cxone_spool_after": "200ms"}
    with running_service(uri, "readiness", **given) as client:
        eventually(lambda: readiness(client) == (200, True, True), 60)
        with writes_locked(uri):
            statuses = filled(client)
            eventually(lambda: readiness(client) == (503, False, False), 60)
            reason = client.get("/readyz").json["reason"]
            ready = client.service.vitals.ready()
        eventually(lambda: readiness(client) == (200, True, True), 60)
        assert client.service.vitals.ready()
        eventually(lambda: client.post({"id": "last", "type": "t"}).status == 200, 60)

    assert statuses[-1] == 503
    assert not ready
    assert "mongodb: " in reason
    assert "the spool is full" in reason


class HangingSync:
    """`os.fsync` that does not return while `hangs` is set."""

    def __init__(self) -> None:
        self._sync = os.fsync
        self._goes_on = threading.Event()
        self._goes_on.set()

    def __call__(self, descriptor: int) -> None:
        self._goes_on.wait(60)
        self._sync(descriptor)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        self._goes_on.clear()
        try:
            yield
        finally:
            self._goes_on.set()


def timed(client: Client, number: int) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = client.post({"id": str(number), "type": "t"})
    return answer, time.monotonic() - began


@pytest.mark.slow
def test_a_disk_that_hangs_is_a_fault_of_the_spool_and_no_pile_of_threads(
    database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HangingSync()
    monkeypatch.setattr(os, "fsync", disk)
    with running_service(NOWHERE, database.name, cxone_spool_after="100ms") as client:
        assert client.post({"id": "first", "type": "t"}).status == 202
        with disk.hanging(), ThreadPoolExecutor(60) as pool:
            first = list(pool.map(lambda number: timed(client, number), range(60)))
            status = readiness(client)
            later = list(pool.map(lambda number: timed(client, number), range(100, 160)))
            health = client.get("/healthz").status
        eventually(lambda: readiness(client) == (200, False, True), 60)
        after = client.post({"id": "after", "type": "t"}).status

    assert {answer.status for answer, _ in [*first, *later]} == {503}
    assert {answer.headers["retry-after"] for answer, _ in [*first, *later]} == {"1"}
    # Two seconds is what one delivery waits, and sixty of them one after the other two minutes.
    assert max(took for _, took in first) < 15
    assert max(took for _, took in later) < 10
    assert (status, health) == ((503, False, False), 200)
    assert after == 202
