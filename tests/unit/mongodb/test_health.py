from __future__ import annotations

import pytest

from consumer.mongodb.client import connect
from consumer.mongodb.health import Deployment, PrimaryCheck, read_hello


@pytest.mark.parametrize(
    ("hello", "health"),
    [
        ({"isWritablePrimary": True}, Deployment(True, "standalone", alone=True)),
        (
            {"isWritablePrimary": True, "setName": "rs", "hosts": ["a"]},
            Deployment(True, "replica set rs, 1 member(s)", alone=True),
        ),
        (
            {"isWritablePrimary": True, "setName": "rs", "hosts": ["a", "b", "c"]},
            Deployment(True, "replica set rs, 3 member(s)"),
        ),
        ({"isWritablePrimary": True, "msg": "isdbgrid"}, Deployment(True, "sharded cluster")),
        (
            {"isWritablePrimary": False, "setName": "rs"},
            Deployment(False, "the server that answers is not a writable primary"),
        ),
    ],
)
def test_hello_tells_whether_a_write_would_be_taken(
    hello: dict[str, object], health: Deployment
) -> None:
    assert read_hello(hello) == health


def test_unreachable_server_is_asked_once_a_second_and_its_address_is_not_told() -> None:
    times = iter([0.0, 0.0, 0.5, 1.2, 1.2])
    client = connect("mongodb://user:hush@127.0.0.1:9/", timeout=0.05)
    check = PrimaryCheck(client["d"]["c"], lambda: next(times))

    first, again, later = (check.check() for _ in range(3))
    client.close()

    assert not first.ok
    assert "hush" not in first.detail
    assert "127.0.0.1" not in first.detail
    assert first is again
    assert later is not first
