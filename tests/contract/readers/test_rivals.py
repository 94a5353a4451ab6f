"""Several processes pin, unpin, register and look at once, and some are killed: all is mended."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.readers.pins import Pin
from consumer.readers.view import base_pipeline, pipeline
from consumer.schemas.manual_changes import alias, unalias
from tests.contract.readers.test_views import House
from tests.support.adoption import NOW
from tests.support.places import ROOT

Db = Database[dict[str, Any]]

_PINNING = """
import sys
from pymongo import MongoClient
from tests.contract.readers.test_views import House
from tests.support.adoption import NOW

house = House(MongoClient(sys.argv[1], tz_aware=True)[sys.argv[2]])
while True:
    for version in (1, 2):
        pin = house.pin("killed", version)
        print("pinned", flush=True)
        house.pin("other", 3 - version)
        house.keep()
    house.views.unpin(pin, NOW)
"""


def assert_equal(house: House) -> None:
    """Every pin has its view, as the schema says now, and there is no other."""
    house.keep()
    assert house.keep()["changed"] == 0
    infos = house.raw.list_collections(filter={"type": "view"})
    views = {info["name"]: info["options"] for info in infos}
    expected: dict[str, Any] = {}
    for pin in house.views.pins.all():
        base, shown = house.views.pins.base_of(pin), house.views.projection(pin)
        expected[base] = {"viewOn": "events", "pipeline": base_pipeline(shown)}
        expected[pin.view] = {"viewOn": base, "pipeline": pipeline(shown)}
    assert views == expected


def test_processes_that_race_leave_every_view_as_it_should_be(
    database: Db, mongod_uri: str
) -> None:
    House(database).store("first", a=1, b={"c": 1})

    def work(number: int) -> None:
        chance = random.Random(number)
        with MongoClient[Any](mongod_uri, tz_aware=True) as client:
            house = House(client[database.name])
            for turn in range(6):
                house.store(f"{number}-{turn}", a=1, **{f"f{number}_{turn}": 1})
                house.pin(f"r{chance.randrange(4)}", chance.choice((1, 2)))
                if chance.random() < 0.4 and (pins := house.views.pins.all()):
                    house.views.unpin(chance.choice(pins), utc_now())
                if chance.random() < 0.4:
                    house.registry.change("s", lambda head, now: alias(head, ("a",), ("n",), now))
                    house.registry.change("s", lambda head, now: unalias(head, ("a",), now))
                house.keep()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))

    house = House(database)
    house.registry.change("s", lambda head, now: alias(head, ("b", "c"), ("late",), now))
    assert_equal(house)
    assert house.views.pins.all()


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_nothing_that_a_look_does_not_mend(
    database: Db, mongod_uri: str
) -> None:
    house = House(database)
    house.store("first", a=1)
    house.store("second", a=2, b="x")
    chance = random.Random(7)
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _PINNING, mongod_uri, database.name],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 9)):
                assert process.stdout.readline() == "pinned\n"
            process.kill()

        assert_equal(house)

    made = Pin("killed.s", "killed", "s", 1, NOW, "Ada")
    house.views.pins.put(made)
    house.views.pins.end(made, NOW)
    assert_equal(house)
