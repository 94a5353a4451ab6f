"""Deletions by MongoDB itself: the settings of now, on a real mongod that really deletes."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.errors import SetupError
from consumer.mongodb.client import DEAD_LETTERS
from consumer.mongodb.embedded.binary import candidates, locate
from consumer.mongodb.indexes import create_indexes
from consumer.mongodb.retention import INDEX, Retention, apply_retention
from tests.conftest import MongodFactory
from tests.support.service import eventually, running_service

Db = Database[dict[str, Any]]

DAY = timedelta(days=1)
SECONDS = 86_400


def now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def seconds(database: Db, collection: str) -> Any:
    index = database[collection].index_information().get(INDEX)
    return index and index["expireAfterSeconds"]


def ended(database: Db, _id: str, at: datetime, kept: timedelta = 30 * DAY) -> None:
    database[DEAD_LETTERS].insert_one(
        {"_id": _id, "ended_at": at, "expires_at": at + kept, "status": "resolved"}
    )


def test_indexes_follow_the_settings_there_and_back(database: Db) -> None:
    create_indexes(database)
    found = []

    for days in (0, 30, 30, 7, 0, 0):
        apply_retention(database, Retention(events=days, audit=2 * days))
        found.append((seconds(database, "events"), seconds(database, "audit")))

    assert found == [
        (None, None),
        (30 * SECONDS, 60 * SECONDS),
        (30 * SECONDS, 60 * SECONDS),
        (7 * SECONDS, 14 * SECONDS),
        (None, None),
        (None, None),
    ]


# MongoDB looks once a minute for what has expired.
@pytest.mark.faults_full
def test_what_is_older_is_deleted_and_nothing_else(mongod_factory: MongodFactory) -> None:
    uri = mongod_factory().uri
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        _expire(uri, client["expiring"])


def _expire(uri: str, database: Db) -> None:
    old, new = now() - 3 * DAY, now() - DAY
    for at in (old, new):
        database["events"].insert_one({"processed_at": at, "_meta": {}})
        database["audit"].insert_one({"at": at})
        ended(database, str(at), at)
    database[DEAD_LETTERS].insert_one({"_id": "waits", "timestamp": old, "status": "held"})
    two_days = {
        "cxone_retention_days": "2",
        "cxone_audit_retention_days": "2",
        "cxone_dead_letter_retention_days": "2",
    }

    with running_service(uri, database.name, **two_days):
        eventually(lambda: database["events"].count_documents({}) == 1, timeout=130)
        eventually(lambda: database["audit"].count_documents({}) == 1, timeout=130)
        eventually(lambda: database[DEAD_LETTERS].count_documents({}) == 2, timeout=130)

    assert database["events"].distinct("processed_at") == [new]
    assert database["audit"].distinct("at") == [new]
    assert database[DEAD_LETTERS].distinct("_id") == sorted([str(new), "waits"])


def test_dead_letters_that_have_ended_take_the_time_that_is_set_now(database: Db) -> None:
    at = now()
    ended(database, "a", at)
    database[DEAD_LETTERS].insert_one({"_id": "open", "status": "held"})

    dates = []
    for days in (7, 7, 90):
        apply_retention(database, Retention(dead_letters=timedelta(days=days)))
        entry = database[DEAD_LETTERS].find_one("a") or {}
        dates.append(entry["expires_at"] - at)

    assert dates == [7 * DAY, 7 * DAY, 90 * DAY]
    assert "expires_at" not in (database[DEAD_LETTERS].find_one("open") or {})


@pytest.mark.parametrize(
    ("direction", "options"),
    [(1, {}), (1, {"expireAfterSeconds": 60}), (-1, {"expireAfterSeconds": 60})],
)
def test_an_index_of_the_users_own_that_stands_in_the_way_is_told_of(
    database: Db, direction: int, options: dict[str, Any]
) -> None:
    database["audit"].create_index([("at", direction)], name="mine", **options)

    with pytest.raises(SetupError, match=r"'mine' of yours on audit\.at .*AUDIT_RETENTION_DAYS=7"):
        apply_retention(database, Retention(audit=7))
    apply_retention(database, Retention())

    assert "mine" in database["audit"].index_information()


def test_an_index_of_the_users_own_that_does_the_same_is_enough(database: Db) -> None:
    database["audit"].create_index("at", name="mine", expireAfterSeconds=7 * SECONDS)

    apply_retention(database, Retention(audit=7))

    assert seconds(database, "audit") is None


@contextmanager
def mongod_with_users(directory: Path) -> Iterator[int]:
    """The port of a mongod that asks who you are; it has an `admin` and an `app` (readWrite)."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(locate(candidates())), "--auth", "--dbpath", str(directory)]
    command += ["--port", str(port), "--bind_ip", "127.0.0.1", "--logpath", str(directory / "log")]
    with subprocess.Popen([*command, "--networkMessageCompressors", "disabled"]) as child:
        try:
            with MongoClient[dict[str, Any]]("127.0.0.1", port) as client:
                roles = [{"role": "root", "db": "admin"}]
                client.admin.command("createUser", "admin", pwd="a", roles=roles)
            with MongoClient[dict[str, Any]](f"mongodb://admin:a@127.0.0.1:{port}") as client:
                roles = [{"role": "readWrite", "db": "cxone"}]
                client["cxone"].command("createUser", "app", pwd="b", roles=roles)
            yield port
        finally:
            child.kill()


def test_a_user_who_may_only_read_and_write_can_change_the_retention(mongod_dir: Path) -> None:
    with (
        mongod_with_users(mongod_dir) as port,
        MongoClient[dict[str, Any]](f"mongodb://app:b@127.0.0.1:{port}/cxone") as client,
    ):
        database, found = client["cxone"], []
        create_indexes(database)
        for days in (30, 7, 0):
            apply_retention(database, Retention(events=days, dead_letters=DAY))
            found.append(seconds(database, "events"))

    assert found == [30 * SECONDS, 7 * SECONDS, None]
