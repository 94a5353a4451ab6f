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

from consumer.clock import utc_now
from consumer.events import Delivery, Headers
from consumer.signature import SignatureScheme, sign
from tests.conftest import MongodFactory
from tests.faults.events import Event, event, verify
from tests.faults.trouble import Trouble, outlast
from tests.replica_set import replica_set
from tests.service import SECRET
from tests.spooling import Run, spooling


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


def signed(payload: Event) -> Delivery:
    body = json.dumps(payload).encode()
    headers = sign(SignatureScheme(), SECRET.encode(), body, utc_now())
    return Delivery(str(payload["n"]), body, Headers(headers), utc_now())
