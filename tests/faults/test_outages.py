"""While MongoDB is down or frozen, every delivery is answered in time, and none is lost."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers
from consumer.ingest.signature import SignatureScheme, sign
from tests.conftest import MongodFactory
from tests.faults.events import Event, event, verify
from tests.faults.trouble import Trouble, outlast
from tests.support.jobs import Run
from tests.support.replica_set import replica_set
from tests.support.service import SECRET
from tests.support.spool import spooling


def killed(mongod_factory: MongodFactory, down: float, times: int) -> tuple[str, Trouble]:
    """A mongod that is killed and started again."""
    servers = [mongod_factory()]
    place, port, uri = servers[0].log_file.parent, servers[0].port, servers[0].uri
    return uri, Trouble(
        lambda: servers[-1].stop(grace=0),
        lambda: servers.append(mongod_factory(place, port=port)),
        down,
        times,
    )


@pytest.mark.slow
def test_deliveries_are_answered_and_kept_while_mongod_is_down(
    mongod_factory: MongodFactory, tmp_path: Path
) -> None:
    uri, trouble = killed(mongod_factory, down=5, times=1)

    found = outlast(uri, tmp_path / "data", trouble, rate=20)

    assert found.spooled > 20 * 5 / 2
    assert all(each <= 5 for each in trouble.drained)


@pytest.mark.faults_full
def test_deliveries_are_answered_and_kept_while_mongod_is_down_for_30_s_three_times(
    mongod_factory: MongodFactory, tmp_path: Path
) -> None:
    uri, trouble = killed(mongod_factory, down=30, times=3)

    found = outlast(uri, tmp_path / "data", trouble, rate=100)

    assert found.spooled > 100 * 90 / 2
    assert found.p99 < 1
    assert all(each <= 30 for each in trouble.drained)


@pytest.mark.slow
def test_deliveries_are_answered_and_kept_while_mongod_does_not_answer(
    mongod_dir: Path, tmp_path: Path
) -> None:
    with replica_set(mongod_dir, nodes=1) as members:
        (node,) = members.nodes
        trouble = Trouble(node.freeze, node.thaw, down=4, times=1)

        found = outlast(members.uri, tmp_path / "data", trouble, rate=20)

    assert found.spooled > 20 * 4 / 2


@pytest.mark.faults_full
def test_deliveries_are_answered_and_kept_while_mongod_does_not_answer_for_30_s_three_times(
    mongod_dir: Path, tmp_path: Path
) -> None:
    with replica_set(mongod_dir, nodes=1) as members:
        (node,) = members.nodes
        trouble = Trouble(node.freeze, node.thaw, down=30, times=3)

        found = outlast(members.uri, tmp_path / "data", trouble, rate=100)

    assert found.spooled > 100 * 90 / 2
    assert found.p99 < 1
    assert all(each <= 30 for each in trouble.drained)


@pytest.mark.slow
@pytest.mark.parametrize(("known", "where"), [(5, "inserting"), (1, "registering a version")])
def test_a_drain_that_waits_for_mongodb_keeps_no_delivery_waiting(
    mongod_dir: Path, tmp_path: Path, known: int, where: str
) -> None:
    with (
        replica_set(mongod_dir, nodes=1) as members,
        # What the drain waits; a delivery that waited for it would exceed the test's patience.
        spooling(members.uri, "drain", tmp_path, cxone_store_timeout="20s") as parts,
        ThreadPoolExecutor(1) as pool,
    ):
        (node,) = members.nodes
        for number in range(known):
            parts.ingest.store(parts.ingest.verify(signed(event(number))))
        for number in range(known, 31):
            parts.spool.append(parts.ingest.verify(signed(event(number))))
        node.freeze()
        draining = pool.submit(parts.drain, Run())
        # All its threads wait for MongoDB by now, and hold what others need.
        time.sleep(1)
        began = time.monotonic()
        outcomes = [parts.ingest.receive(signed(event(number))).status for number in (31, 41)]
        took = time.monotonic() - began
        node.thaw()
        draining.result(60)
        parts.drain(Run())

        assert outcomes == ["spooled"] * 2, where
        assert took < 10
        with closing(MongoClient[dict[str, Any]](members.uri, tz_aware=True)) as client:
            verify(client["drain"], members.uri, [*range(32), 41])


@pytest.mark.slow
@pytest.mark.parametrize("brings", ["something new", "nothing new"])
def test_with_mongod_frozen_the_second_waits_no_longer_than_the_first(
    mongod_dir: Path, tmp_path: Path, brings: str
) -> None:
    with (
        replica_set(mongod_dir, nodes=1) as members,
        spooling(members.uri, "frozen", tmp_path, cxone_spool_after="4s") as parts,
        ThreadPoolExecutor(2) as pool,
    ):
        (node,) = members.nodes
        parts.ingest.store(parts.ingest.verify(signed(event(0))))

        def receive(number: int) -> float:
            more = {f"new {number}": 1} if brings == "something new" else {}
            delivery = signed({**event(0), "id": f"e{number}", **more})
            began = time.monotonic()
            assert parts.ingest.receive(delivery).status == "spooled"
            return time.monotonic() - began

        node.freeze()
        first = pool.submit(receive, 1)
        time.sleep(1)
        second = pool.submit(receive, 2)
        took = [first.result(60), second.result(60)]
        known = parts.breaker.is_open
        third = receive(3)
        node.thaw()

    # One after the other they would take 3 s more.
    assert max(took) < 6.5
    assert known
    assert third < 2


def signed(payload: Event) -> Delivery:
    body = json.dumps(payload).encode()
    headers = sign(SignatureScheme(), SECRET.encode(), body, utc_now())
    return Delivery(str(payload["n"]), body, Headers(headers), utc_now())
