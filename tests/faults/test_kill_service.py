"""A service killed at any moment has stored, or spooled, all that it answered."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.clock import utc_now
from consumer.runtime import build_core
from consumer.spool import directory_in, survey
from tests.conftest import MongodFactory
from tests.faults.senders import Answered, Process, event, process, send_all
from tests.service import eventually
from tests.spooling import load

Db = Database[dict[str, Any]]
OURS = ("_id", "_meta", "schema_version", "processed_at")


def kill_on_the_way(service: Process, answers: list[Answered], deliveries: int, kills: int) -> None:
    """Kill and restart the service `kills` times, each at a moment of its own in the deliveries."""
    chance = random.Random(7)
    for number in range(kills):
        moment = (number + chance.random()) * deliveries * 0.9 / kills
        while len(answers) < moment:
            time.sleep(0.001)
        service.kill()
        service.start()


def same(sent: Any, found: Any) -> bool:
    """Equal in value and type, at every path that was sent; more keys may be there."""
    if isinstance(sent, dict):
        return isinstance(found, dict) and all(
            key in found and same(value, found[key]) for key, value in sent.items()
        )
    if isinstance(sent, list):
        return isinstance(found, list) and len(sent) == len(found) and all(map(same, sent, found))
    return type(sent) is type(found) and sent == found


def verify(database: Db, uri: str, data_dir: Path, count: int) -> None:
    """Every event is there once and unaltered, and the registry knows all of it."""
    documents = {one["id"]: one for one in database["events"].find()}
    assert database["events"].count_documents({}) == len(documents) == count
    assert all(same(event(number), documents[f"event-{number}"]) for number in range(count))
    versions = [one["_id"]["version"] for one in database["schema_versions"].find().sort("_id")]
    assert versions == list(range(1, len(versions) + 1))
    core = build_core(load(uri, database.name, data_dir), uri, utc_now)
    try:
        for number in range(count):
            admission = core.registry.admit("contact.created", event(number), number)
            assert admission.registered is None
            assert admission.untracked == 0
    finally:
        core.close()


def survive(
    database: Db, uri: str, data_dir: Path, *, deliveries: int, kills: int
) -> list[Answered]:
    answers: list[Answered] = []
    with process(uri, database.name, data_dir) as service:
        killer = threading.Thread(
            target=kill_on_the_way, args=(service, answers, deliveries, kills)
        )
        killer.start()
        send_all(lambda: service.address, range(deliveries), 16, answers)
        killer.join()
        eventually(lambda: survey(directory_in(data_dir)).depth == 0, 60)
    statuses = Counter(answer.status for answer in answers)
    print(f"{len(answers)} deliveries, killed {kills} times, answers {dict(statuses)}")
    assert set(statuses) <= {200, 202}
    verify(database, uri, data_dir, deliveries)
    return answers


@pytest.mark.slow
def test_what_a_killed_service_answered_is_stored_once(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    survive(database, mongod_uri, tmp_path / "data", deliveries=600, kills=5)


@pytest.mark.faults_full
def test_what_a_service_killed_200_times_answered_is_stored_once(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    survive(database, mongod_uri, tmp_path / "data", deliveries=10_000, kills=200)


@pytest.mark.slow
def test_what_a_killed_service_spooled_is_stored_once_mongod_is_back(
    mongod_factory: MongodFactory, tmp_path: Path
) -> None:
    server = mongod_factory()
    place, port, uri = server.log_file.parent, server.port, server.uri

    def come_and_go() -> None:
        time.sleep(2)
        server.stop(grace=0)
        time.sleep(8)
        mongod_factory(place, port=port)

    trouble = threading.Thread(target=come_and_go)
    trouble.start()
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        answers = survive(client["killed"], uri, tmp_path / "data", deliveries=1500, kills=5)
    trouble.join()
    assert any(answer.status == 202 for answer in answers)
