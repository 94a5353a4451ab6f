"""Commands that may take long end soon all the same where MongoDB falls silent."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from consumer.core.deadline import deadline
from consumer.core.errors import StoreUnavailable
from consumer.mongodb.client import OurDatabase, connect, open_database
from consumer.mongodb.deadline import soon, unhurried, within
from consumer.mongodb.errors import translated
from tests.conftest import MongodFactory
from tests.support.processes import freeze

TIMEOUT = 1.0
# A server that works on this for seconds answers nobody meanwhile who waits for it.
SLOW: dict[str, Any] = {"$where": "sleep(3000) || true"}


@pytest.fixture
def events(mongod_uri: str) -> Iterator[OurDatabase]:
    with connect(mongod_uri, timeout=TIMEOUT) as client:
        database = open_database(client, "deadlines")
        database["events"].insert_one({})
        yield database
        client.drop_database("deadlines")


def test_what_is_unhurried_may_take_longer_than_other_calls(events: OurDatabase) -> None:
    with unhurried():
        assert events["events"].find_one(SLOW)
    with pytest.raises(PyMongoError):
        events["events"].find_one(SLOW)


def test_a_batch_has_longer_than_other_calls_and_yet_an_end(events: OurDatabase) -> None:
    began = time.monotonic()
    with pytest.raises(PyMongoError) as raised, soon(events["events"]):
        events["events"].find_one(SLOW)

    assert raised.value.timeout
    assert TIMEOUT < time.monotonic() - began < TIMEOUT + 10


def test_a_bound_from_outside_holds_for_what_is_unhurried(events: OurDatabase) -> None:
    with pytest.raises(PyMongoError) as raised, within(0.5), unhurried():
        events["events"].find_one(SLOW)

    assert raised.value.timeout


def test_who_has_a_deadline_tells_the_driver_where_mongodb_is_asked(events: OurDatabase) -> None:
    began = time.monotonic()
    with deadline(0.4):
        with translated("events"):
            assert events["events"].find_one()
        with pytest.raises(StoreUnavailable) as late, translated("events"):
            events["events"].find_one(SLOW)
        # Past it nothing is asked, not even what is quick.
        time.sleep(max(0.0, began + 0.5 - time.monotonic()))
        asked = time.monotonic()
        with pytest.raises(StoreUnavailable) as past, translated("events"):
            events["events"].find_one()

    assert asked - began < TIMEOUT
    assert time.monotonic() - asked < 0.1
    assert late.value.__cause__ is not None
    assert past.value.__cause__ is not None
    with translated("events"):
        assert events["events"].find_one()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_server_that_falls_silent_ends_what_is_unhurried(mongod_factory: MongodFactory) -> None:
    server = mongod_factory(cache_gb=0.25)

    with connect(server.uri, timeout=TIMEOUT) as client:
        database = open_database(client, "deadlines")
        database["events"].insert_one({})
        later = threading.Timer(1.0, freeze, [server.pid])
        later.start()
        began = time.monotonic()
        with pytest.raises(PyMongoError), unhurried():
            database["events"].find_one({"$where": "sleep(600000) || true"})
        elapsed = time.monotonic() - began
        later.join()

    print(f"ended {elapsed - 1:.1f} s after it froze")
    assert elapsed < 1 + TIMEOUT + 10
