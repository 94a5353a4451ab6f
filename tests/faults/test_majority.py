"""A replica set that loses its primary, its majority or its answers costs no delivery."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pymongo
import pytest
from pymongo import MongoClient

from consumer.core.errors import StoreUnavailable
from consumer.events.documents import encode
from consumer.events.store import EventStore
from consumer.mongodb.client import connect, open_database
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.spool.survey import directory_in, survey
from tests.faults.events import event, verify
from tests.faults.process import process
from tests.faults.relay import relay
from tests.faults.senders import send_at_rate
from tests.faults.trouble import Trouble, drained_by, outlast
from tests.support.replica_set import Node, ReplicaSet, replica_set
from tests.support.service import eventually
from tests.support.spool import Sender


@pytest.fixture(scope="module")
def shared() -> Iterator[ReplicaSet]:
    """Three nodes that elect after two seconds; each test leaves them as it found them."""
    with (
        TemporaryDirectory(prefix="cxone-set-", ignore_cleanup_errors=True) as path,
        replica_set(Path(path), election_timeout=2) as members,
    ):
        yield members


@pytest.fixture
def members(shared: ReplicaSet) -> Iterator[ReplicaSet]:
    shared.settled()
    with closing(MongoClient[dict[str, Any]](shared.uri)) as client:
        client.drop_database("outages")
    yield shared
    for node in shared.nodes:
        node.thaw()
    shared.settled()


def primary_killed(members: ReplicaSet, down: float, times: int) -> Trouble:
    """The primary is killed, and starts again once another was elected."""
    dead: list[Node] = []

    def away() -> None:
        dead.append(members.primary())
        dead[-1].kill()

    def back() -> None:
        members.primary()
        dead[-1].start()

    return Trouble(away, back, down, times)


def majority_lost(members: ReplicaSet, down: float, times: int) -> Trouble:
    """Both secondaries are frozen: the primary writes what nobody confirms, and steps down."""
    frozen: list[Node] = []

    def away() -> None:
        frozen[:] = members.secondaries()
        for node in frozen:
            node.freeze()

    def back() -> None:
        for node in frozen:
            node.thaw()
        members.primary()

    return Trouble(away, back, down, times)


@pytest.mark.slow
def test_a_primary_killed_under_load_costs_no_delivery(members: ReplicaSet, tmp_path: Path) -> None:
    trouble = primary_killed(members, down=4, times=1)

    found = outlast(members.uri, tmp_path / "data", trouble, rate=30)

    assert found.spooled


@pytest.mark.faults_full
def test_a_primary_killed_under_load_three_times_costs_no_delivery(
    mongod_dir: Path, tmp_path: Path
) -> None:
    with replica_set(mongod_dir, election_timeout=10) as members:
        trouble = primary_killed(members, down=20, times=3)

        found = outlast(members.uri, tmp_path / "data", trouble, rate=100)

    assert found.spooled
    assert found.p99 < 1
    assert all(each <= 20 for each in trouble.drained)


@pytest.mark.slow
def test_what_no_majority_confirmed_is_spooled_and_later_found_to_be_a_duplicate(
    members: ReplicaSet, tmp_path: Path
) -> None:
    trouble = majority_lost(members, down=4, times=3)

    found = outlast(members.uri, tmp_path / "data", trouble, rate=100)

    assert found.drained["duplicate"]
    assert found.drained["processed"]
    assert found.drained.total() == found.spooled


@pytest.mark.faults_full
def test_what_no_majority_confirmed_for_30_s_three_times_is_stored_once(
    mongod_dir: Path, tmp_path: Path
) -> None:
    with replica_set(mongod_dir, election_timeout=10) as members:
        trouble = majority_lost(members, down=30, times=3)

        found = outlast(members.uri, tmp_path / "data", trouble, rate=100)

    assert found.drained["duplicate"]
    assert found.p99 < 1
    assert all(each <= 30 for each in trouble.drained)


@pytest.mark.slow
def test_a_duplicate_is_one_only_once_a_majority_has_the_first(members: ReplicaSet) -> None:
    document = encode({"_id": "a", "_meta": {"digest": "d"}})
    with closing(connect(members.uri, timeout=10)) as client:
        store = EventStore(open_database(client, "outages")["events"], conflicts_matter=False)
        store.append(encode({"_id": "warm"}), "d")
        frozen = members.secondaries()
        for node in frozen:
            node.freeze()

        with pytest.raises(StoreUnavailable, match="majority"), pymongo.timeout(3):
            store.append(document, "d")
        with pytest.raises(StoreUnavailable), pymongo.timeout(3):
            store.append(document, "d")

        for node in frozen:
            node.thaw()
        members.settled()
        assert store.append(document, "d") is False


@pytest.mark.slow
def test_when_the_answer_to_a_batch_is_lost_each_of_its_deliveries_is_spooled(
    mongod: EmbeddedMongo, tmp_path: Path
) -> None:
    with (
        relay(("127.0.0.1", mongod.port)) as between,
        closing(MongoClient[dict[str, Any]](mongod.uri, tz_aware=True)) as client,
    ):
        client.drop_database("answers_lost")
        # A client that knew the set would go around the relay.
        uri = mongod.uri.replace(f"127.0.0.1:{mongod.port}", "{}:{}".format(*between.address))
        uri = uri.replace("replicaSet=cxone", "directConnection=true")
        data_dir = tmp_path / "data"
        with process(uri, "answers_lost", data_dir, cxone_spool_after="2s") as service:
            send_at_rate(service.address, 20, 1)
            # All share a few inserts, which MongoDB has before their answers are lost.
            between.delay = 1.5
            with ThreadPoolExecutor(1) as pool:
                posts = pool.submit(at_once, service.address, range(20, 36))
                time.sleep(0.25)
                between.deaf.set()
                statuses = posts.result()
            between.deaf.clear()
            between.delay = 0.0
            # The line about a drained delivery follows its leaving the spool.
            eventually(lambda: drained_by(service.lines()).total() == 16, 30)
            drained = drained_by(service.lines())

        assert statuses == [202] * 16
        assert survey(directory_in(data_dir)).depth == 0
        # More than one of those that shared an insert.
        assert drained["duplicate"] > 2
        verify(client["answers_lost"], mongod.uri, range(36))
        client.drop_database("answers_lost")


def at_once(address: tuple[str, int], numbers: Sequence[int]) -> list[int]:
    """The statuses of events that are sent at the same time."""
    ready = threading.Barrier(len(numbers))

    def work(number: int) -> int:
        sender = Sender(address, timeout=20)
        ready.wait(10)
        try:
            return sender.post(event(number))[0]
        finally:
            sender.close()

    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(work, numbers))
