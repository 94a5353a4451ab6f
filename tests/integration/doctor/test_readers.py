"""Doctor on the views of readers: may they be made, and are they there?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.doctor import readers, rights
from consumer.mongodb.client import COLLECTIONS, connect
from consumer.readers.pins import Pin, Pins
from tests.support.doctor import NOW, settings_of, target

Db = Database[dict[str, Any]]
Found = list[tuple[str, str]]


def examined(uri: str, database: Db) -> Found:
    settings = settings_of(mongodb_database=database.name)
    with connect(uri, timeout=10) as client:
        found = list(readers.examine(target(settings, client=client)))
    return [(check.status, check.finding) for check in found]


@pytest.fixture
def narrow(
    mongo_client: MongoClient[dict[str, Any]], mongod_uri: str, database: Db
) -> Iterator[str]:
    """The URI of a user with rights on our collections alone."""
    granted = [
        {"resource": {"db": database.name, "collection": name}, "actions": list(rights._NEEDED)}
        for name in COLLECTIONS
    ]
    name, parts = f"n{uuid.uuid4().hex}", urlsplit(mongod_uri)
    mongo_client.admin.command("createRole", name, privileges=granted, roles=[])
    mongo_client.admin.command("createUser", name, pwd="narrow", roles=[name])
    yield parts._replace(netloc=f"{name}:narrow@{parts.netloc.rpartition('@')[2]}").geturl()
    mongo_client.admin.command("dropUser", name)
    mongo_client.admin.command("dropRole", name)


def test_the_right_to_make_views_is_looked_for(narrow: str, mongod_uri: str, database: Db) -> None:
    assert examined(mongod_uri, database) == [("ok", "none")]
    (found,) = examined(narrow, database)
    assert found[0] == "warn"
    assert "it lacks find, createCollection, collMod, dropCollection" in found[1]

    Pins(database["readers"]).put(Pin("r.s", "r", "s", 1, NOW, "Ada"))

    assert examined(narrow, database)[0][0] == "fail"


def test_views_that_are_not_there_are_named(mongod_uri: str, database: Db) -> None:
    for reader in ("gone", "taken", "there"):
        Pins(database["readers"]).put(Pin(f"{reader}.s", reader, "s", 1, NOW, "Ada"))
    database["taken.s"].insert_one({})
    database.create_collection("there.s", viewOn="events", pipeline=[])

    assert examined(mongod_uri, database) == [
        ("warn", "gone.s is missing"),
        ("warn", "_aliases-6eb68dc7.s is missing"),
        ("warn", "taken.s is a collection"),
    ]
