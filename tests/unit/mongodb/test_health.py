from __future__ import annotations

import pytest

from consumer.mongodb.client import connect
from consumer.mongodb.health import Reach, Reachability, read_hello


@pytest.mark.parametrize(
    ("hello", "reach"),
    [
        ({"isWritablePrimary": True}, Reach(True, "standalone", alone=True)),
        (
            {"isWritablePrimary": True, "setName": "rs", "hosts": ["a"]},
            Reach(True, "replica set rs, 1 member(s)", alone=True),
        ),
        (
            {"isWritablePrimary": True, "setName": "rs", "hosts": ["a", "b", "c"]},
            Reach(True, "replica set rs, 3 member(s)"),
        ),
        ({"isWritablePrimary": True, "msg": "isdbgrid"}, Reach(True, "sharded cluster")),
        (
            {"isWritablePrimary": False, "setName": "rs"},
            Reach(False, "the server that answers is not a writable primary"),
        ),
    ],
)
def test_hello_tells_whether_a_write_would_be_taken(hello: dict[str, object], reach: Reach) -> None:
    assert read_hello(hello) == reach


def test_unreachable_server_is_asked_once_a_second_and_its_address_is_not_told() -> None:
    times = iter([0.0, 0.0, 0.5, 1.2, 1.2])
    client = connect("mongodb://user:hush@127.0.0.1:9/", timeout=0.05)
    reachability = Reachability(client["d"]["c"], lambda: next(times))

    first, again, later = (reachability.check() for _ in range(3))
    client.close()

    assert not first.ok
    assert "hush" not in first.detail
    assert "127.0.0.1" not in first.detail
    assert first is again
    assert later is not first
