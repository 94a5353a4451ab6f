"""The embedded MongoDB is for those alone who may read the key in its directory."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from consumer.cli.main import run
from consumer.core.errors import StoreUnavailable
from consumer.mongodb.embedded import key, port
from consumer.mongodb.embedded.binary import candidates, locate
from consumer.mongodb.embedded.port import running_uri
from tests.conftest import MongodFactory
from tests.support.processes import freeze

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and modes")

# By one who has not logged in: reading, changing, and what would open the door.
TRIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("t", {"find": "c"}),
    ("t", {"insert": "c", "documents": [{"_id": "stranger"}]}),
    ("admin", {"listDatabases": 1}),
    ("admin", {"getCmdLineOpts": 1}),
    ("admin", {"replSetInitiate": {"_id": "cxone", "members": []}}),
    ("admin", {"replSetGetConfig": 1}),
    ("admin", {"createUser": "stranger", "pwd": "p", "roles": ["root"]}),
    ("admin", {"shutdown": 1, "force": True}),
    ("local", {"find": "oplog.rs"}),
)
UNAUTHORIZED = 13


def stranger(at: int) -> MongoClient[dict[str, Any]]:
    return MongoClient(
        "127.0.0.1", at, directConnection=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=2000
    )


def attempts(at: int) -> Iterator[int | None]:
    """The server's answer to each of TRIES: an error code, None where it obeyed."""
    with stranger(at) as client:
        for database, command in TRIES:
            try:
                client[database].command(command)
                yield None
            except OperationFailure as error:
                yield error.code


def names(uri: str) -> list[str]:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=10_000) as client:
        return [document["_id"] for document in client["t"]["c"].find().sort("_id")]


def write(uri: str, name: str) -> None:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=10_000) as client:
        client["t"]["c"].insert_one({"_id": name})


@contextlib.contextmanager
def older_program(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A mongod as this program started it before there was a key, and its URI."""
    at = port.choose(port.recall(directory / port.FILE))
    port.remember(directory / port.FILE, at)
    (directory / "mongodb").mkdir(mode=0o700, exist_ok=True)
    command = [str(locate(candidates())), "--dbpath", str(directory / "mongodb")]
    command += ["--port", str(at), "--bind_ip", "127.0.0.1", "--replSet", "cxone"]
    command += ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256"]
    command += ["--logpath", str(directory / "mongodb.log"), "--logappend"]
    if sys.platform != "win32":
        command += ["--nounixsocket"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with stranger(at) as client:
                deadline = time.monotonic() + 60
                while not is_primary(client, at):
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield process, f"mongodb://127.0.0.1:{at}/?replicaSet=cxone"
        finally:
            process.kill()


def is_primary(client: MongoClient[dict[str, Any]], at: int) -> bool:
    with contextlib.suppress(PyMongoError):
        hello = client.admin.command("hello")
        if "setName" not in hello:
            members = [{"_id": 0, "host": f"127.0.0.1:{at}"}]
            client.admin.command("replSetInitiate", {"_id": "cxone", "members": members})
        return bool(hello["isWritablePrimary"])
    return False


def test_nobody_without_the_key_gets_in_at_any_moment_of_the_first_start(
    mongod_factory: MongodFactory,
) -> None:
    at = port.choose(None)
    said: list[int | None] = []
    done = threading.Event()

    def knock() -> None:
        while not done.is_set():
            with contextlib.suppress(PyMongoError):
                said.extend(attempts(at))

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        mongo = mongod_factory(port=at)
        write(mongo.uri, "ours")
        said.extend(attempts(at))
    finally:
        done.set()
        knocking.join()

    assert len(said) >= len(TRIES)
    assert set(said) == {UNAUTHORIZED}
    assert names(mongo.uri) == ["ours"]


@posix
def test_key_is_its_owners_alone_and_in_no_list_of_processes(
    mongod_factory: MongodFactory,
) -> None:
    mongo = mongod_factory()
    file = mongo.log_file.parent / key.FILE
    secret = file.read_text(encoding="ascii")
    arguments = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, check=True).stdout

    assert file.stat().st_mode & 0o777 == 0o600
    assert str(file).encode() in arguments
    assert secret.encode() not in arguments
    assert key.password(secret).encode() not in arguments


@pytest.mark.slow
@posix
def test_key_that_came_open_out_of_a_backup_is_closed(mongod_factory: MongodFactory) -> None:
    first = mongod_factory()
    write(first.uri, "a")
    first.stop(grace=0)
    file = first.log_file.parent / key.FILE
    file.chmod(0o644)

    second = mongod_factory(first.log_file.parent)

    assert names(second.uri) == ["a"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_lost_key_is_replaced_and_the_data_is_there(mongod_factory: MongodFactory) -> None:
    first = mongod_factory()
    old = first.uri
    write(old, "a")
    first.stop()
    (first.log_file.parent / key.FILE).unlink()
    second = mongod_factory(first.log_file.parent)

    assert names(second.uri) == ["a"]
    assert second.uri != old


@pytest.mark.slow
def test_directory_of_an_older_program_is_taken_over_and_that_still_opens_it(
    mongod_factory: MongodFactory, mongod_dir: Path
) -> None:
    with older_program(mongod_dir) as (_, uri):
        write(uri, "older")
    mongo = mongod_factory(mongod_dir)
    write(mongo.uri, "newer")
    refused = set(attempts(mongo.port))
    mongo.stop()

    assert refused == {UNAUTHORIZED}
    with older_program(mongod_dir) as (_, uri):
        assert names(uri) == ["newer", "older"]


@pytest.mark.slow
@posix
def test_mongod_without_a_key_that_still_runs_is_replaced_not_adopted(
    mongod_factory: MongodFactory, mongod_dir: Path
) -> None:
    with older_program(mongod_dir) as (process, uri):
        write(uri, "older")
        mongo = mongod_factory(mongod_dir)

        assert process.wait(30) == 0
        assert mongo.pid != process.pid
        assert names(mongo.uri) == ["older"]
        assert set(attempts(mongo.port)) == {UNAUTHORIZED}


def test_commands_find_the_running_one_with_its_key(mongod_factory: MongodFactory) -> None:
    mongo = mongod_factory()
    write(mongo.uri, "a")
    found = running_uri(mongo.log_file.parent)

    assert found == mongo.uri
    assert names(found) == ["a"]


@pytest.mark.slow
def test_commands_find_one_that_an_older_program_runs(mongod_dir: Path) -> None:
    with older_program(mongod_dir) as (_, uri):
        assert running_uri(mongod_dir) == uri


def test_mongod_of_somebody_else_on_the_remembered_port_is_not_taken_for_ours(
    mongod_factory: MongodFactory, mongod_dir: Path
) -> None:
    theirs = mongod_factory()
    mine = mongod_dir / "mine"
    mine.mkdir()
    port.remember(mine / port.FILE, theirs.port)
    key.ensure(mine)

    assert running_uri(mine) is None


@posix
def test_frozen_one_is_said_not_to_answer(mongod_factory: MongodFactory) -> None:
    mongo = mongod_factory()
    freeze(mongo.pid)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"does not answer at 127\.0\.0\.1"):
        running_uri(mongo.log_file.parent)
    assert time.monotonic() - began < 15


def test_uri_for_mongosh_and_compass_is_printed_alone(
    mongod_factory: MongodFactory,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mongo = mongod_factory()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MONGODB_URI", raising=False)
    monkeypatch.setenv("CXONE_DATA_DIR", str(mongo.log_file.parent))

    capsys.readouterr()

    assert run(["status", "--uri"]) == 0
    assert capsys.readouterr().out == f"{mongo.uri}\n"


@pytest.mark.slow
@posix
@pytest.mark.parametrize("command", [["status"], ["doctor"], ["dlq", "list"]])
def test_nobody_is_told_to_start_one_that_is_frozen(
    command: list[str],
    mongod_factory: MongodFactory,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mongo = mongod_factory()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MONGODB_URI", raising=False)
    monkeypatch.setenv("CXONE_DATA_DIR", str(mongo.log_file.parent))
    monkeypatch.setenv("COLUMNS", "300")
    freeze(mongo.pid)

    assert run(command) == 3
    said = "".join(capsys.readouterr())
    assert "does not answer" in said
    assert "serve --embedded" not in said
