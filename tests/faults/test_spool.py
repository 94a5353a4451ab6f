"""While MongoDB is down every delivery is answered in time, and none is lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from consumer.spool import directory_in, survey
from tests.conftest import MongodFactory
from tests.faults.senders import percentile, process, send_at_rate


def outages(
    mongod_factory: MongodFactory, data_dir: Path, *, rate: float, down: float, times: int
) -> None:
    server = mongod_factory()
    place, port, uri = server.log_file.parent, server.port, server.uri
    drained: list[float] = []
    servers = [server]

    def trouble() -> None:
        for _ in range(times):
            time.sleep(1)
            servers[-1].stop(grace=0)
            time.sleep(down)
            servers.append(mongod_factory(place, port=port))
            back = time.monotonic()
            while survey(directory_in(data_dir)).depth and time.monotonic() - back < 2 * down:
                time.sleep(0.05)
            drained.append(time.monotonic() - back)

    with process(uri, "spooled", data_dir) as service:
        # Warm: what is measured is an outage, not a start.
        send_at_rate(service.address, rate=20, seconds=1)
        troubles = threading.Thread(target=trouble)
        troubles.start()
        answers = send_at_rate(service.address, rate, times * (1 + down * 1.8) + 1)
        troubles.join()
        waited = time.monotonic()
        while survey(directory_in(data_dir)).depth and time.monotonic() - waited < 10:
            time.sleep(0.1)

    with MongoClient[dict[str, Any]](uri) as client:
        stored = [one["n"] for one in client["spooled"]["events"].find({}, {"n": 1})]
    statuses = {answer.status for answer in answers}
    spooled = sum(answer.status == 202 for answer in answers)
    p99 = percentile([answer.seconds for answer in answers], 0.99)
    print(
        f"{len(answers)} deliveries, {spooled} spooled, statuses {statuses}, p99 {p99:.3f} s,"
        f" drained in {[round(each, 1) for each in drained]} s"
    )
    assert statuses <= {200, 202}
    assert spooled > rate * down * times / 2
    assert sorted(stored) == list(range(len(answers)))
    assert all(each <= down for each in drained)
    assert p99 < 1


@pytest.mark.slow
def test_deliveries_are_answered_and_kept_while_mongod_is_down(
    mongod_factory: MongodFactory, tmp_path: Path
) -> None:
    outages(mongod_factory, tmp_path / "data", rate=20, down=5, times=1)


@pytest.mark.faults_full
def test_deliveries_are_answered_and_kept_while_mongod_is_down_for_30_s_three_times(
    mongod_factory: MongodFactory, tmp_path: Path
) -> None:
    outages(mongod_factory, tmp_path / "data", rate=100, down=30, times=3)
