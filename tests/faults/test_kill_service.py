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

from consumer.spool.survey import directory_in, survey
from tests.conftest import MongodFactory
from tests.faults.events import verify
from tests.faults.process import Process, process
from tests.faults.senders import Answered, send_all
from tests.support.service import eventually

Db = Database[dict[str, Any]]


def kill_on_the_way(
    service: Process, answers: list[Answered], deliveries: int, kills: int, starts: list[float]
) -> None:
    """Kill and restart the service `kills` times, each at a moment of its own in the deliveries."""
    chance = random.Random(7)
    for number in range(kills):
        moment = (number + chance.random()) * deliveries * 0.9 / kills
        while len(answers) < moment:
            time.sleep(0.001)
        service.kill()
        starts.append(service.start())


def survive(
    database: Db, uri: str, data_dir: Path, *, deliveries: int, kills: int
) -> list[Answered]:
    answers: list[Answered] = []
    starts: list[float] = []
    # The backfill runs all the while, and is killed as well.
    often = {"cxone_backfill_interval": "1s", "cxone_backfill_quiet": "1s"}
    with process(uri, database.name, data_dir, **often) as service:
        killer = threading.Thread(
            target=kill_on_the_way, args=(service, answers, deliveries, kills, starts)
        )
        killer.start()
        send_all(service.address, range(deliveries), 16, answers)
        killer.join()
        eventually(lambda: survey(directory_in(data_dir)).depth == 0, 60)
    statuses = Counter(answer.status for answer in answers)
    print(
        f"{len(answers)} deliveries, killed {kills} times, answers {dict(statuses)};"
        f" first answer at most {max(starts):.2f} s after a start"
    )
    assert set(statuses) <= {200, 202}
    verify(database, uri, list(range(deliveries)))
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
        time.sleep(6)
        mongod_factory(place, port=port)

    trouble = threading.Thread(target=come_and_go)
    trouble.start()
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        answers = survive(client["killed"], uri, tmp_path / "data", deliveries=1500, kills=5)
    trouble.join()
    assert any(answer.status == 202 for answer in answers)
