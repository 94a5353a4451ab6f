"""While MongoDB is down or frozen, every delivery is answered in time, and none is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import MongodFactory
from tests.faults.trouble import Trouble, outlast
from tests.replica_set import replica_set


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
