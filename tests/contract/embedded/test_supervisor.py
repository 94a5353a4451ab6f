"""The embedded MongoDB promises that data and address survive what happens to its process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from consumer.core.errors import SetupError
from consumer.mongodb.embedded import port
from consumer.mongodb.embedded.server import Server
from consumer.mongodb.embedded.supervisor import EmbeddedMongo, backoff
from tests.conftest import MongodFactory

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and sessions")

SIGKILL = 9  # by number: Windows does not name it
OWNER = """
import sys, time
import structlog
from pathlib import Path
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
mongo = EmbeddedMongo(Path(sys.argv[1])).start()
print(mongo.pid, flush=True)
time.sleep(60)
"""


def write(mongo: EmbeddedMongo, name: str) -> None:
    with MongoClient[dict[str, Any]](mongo.uri, serverSelectionTimeoutMS=5000) as client:
        durable = WriteConcern(w="majority", j=True)
        client.get_database("t", write_concern=durable)["c"].insert_one({"_id": name})


def names(mongo: EmbeddedMongo) -> list[str]:
    with MongoClient[dict[str, Any]](mongo.uri, serverSelectionTimeoutMS=5000) as client:
        return [document["_id"] for document in client["t"]["c"].find()]


def eventually(fact: Callable[[], bool], within: float) -> float:
    """Seconds until `fact` held; fails when it did not `within` seconds."""
    began = time.monotonic()
    while not fact():
        assert time.monotonic() - began < within
        time.sleep(0.02)
    return time.monotonic() - began


def gone(pid: int) -> bool:
    """Tell whether no process `pid` runs; a zombie that nobody collects does not run."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True
    try:
        os.kill(pid, 0)
    except OSError:
        return True
    return False


@contextlib.contextmanager
def orphan(mongo: EmbeddedMongo) -> Iterator[subprocess.Popen[bytes]]:
    """Stop `mongo` and start the same mongod with nobody to mind it."""
    with MongoClient[dict[str, Any]](mongo.uri) as client:
        command = client.admin.command("getCmdLineOpts")["argv"]
    mongo.stop()
    with killed_at_last(subprocess.Popen(command, stdout=subprocess.DEVNULL)) as process:
        eventually(lambda: not port.is_free(mongo.port), within=60)
        yield process


@contextlib.contextmanager
def owner(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Another Python process that owns the mongod on `directory`, and the pid of that mongod."""
    command = [sys.executable, "-c", OWNER, str(directory)]
    with killed_at_last(subprocess.Popen(command, stdout=subprocess.PIPE)) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())


@contextlib.contextmanager
def killed_at_last(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_new_data_directory_is_a_writable_primary_within_seconds(
    mongod_factory: MongodFactory, mongod_dir: Path
) -> None:
    began = time.monotonic()
    mongo = mongod_factory(mongod_dir / "with space")
    elapsed = time.monotonic() - began
    write(mongo, "a")
    print(f"writable after {elapsed:.2f} s")
    assert names(mongo) == ["a"]
    assert elapsed < 10


@posix
def test_ctrl_c_in_the_terminal_does_not_reach_mongod(mongod: EmbeddedMongo) -> None:
    if sys.platform != "win32":
        assert os.getsid(mongod.pid) != os.getsid(0)


@posix
def test_data_files_are_for_their_owner_only(mongod: EmbeddedMongo) -> None:
    assert (mongod.log_file.parent / "mongodb").stat().st_mode & 0o777 == 0o700


def test_data_and_port_survive_stop_and_start(mongod_factory: MongodFactory) -> None:
    first = mongod_factory()
    write(first, "a")
    first.stop()
    assert gone(first.pid)
    second = mongod_factory(first.log_file.parent)
    assert second.port == first.port
    assert names(second) == ["a"]


def test_data_survives_another_port(mongod_factory: MongodFactory) -> None:
    first = mongod_factory()
    write(first, "a")
    first.stop(grace=0)
    other = port.choose(None)
    second = mongod_factory(first.log_file.parent, port=other)
    write(second, "b")
    assert second.port == other != first.port
    assert names(second) == ["a", "b"]


@posix
def test_killed_mongod_comes_back_on_the_same_port(mongod_factory: MongodFactory) -> None:
    mongo = mongod_factory()
    uri, killed = mongo.uri, mongo.pid
    write(mongo, "a")
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=10_000) as client:
        client["t"]["c"].find_one()
        os.kill(killed, SIGKILL)
        elapsed = eventually(lambda: mongo.pid != killed, within=60)
        client["t"]["c"].insert_one({"_id": "b"})
    print(f"restarted after {elapsed:.2f} s")
    assert mongo.uri == uri
    assert names(mongo) == ["a", "b"]


@posix
def test_stop_during_a_restart_leaves_no_mongod(mongod_factory: MongodFactory) -> None:
    mongo = mongod_factory()
    os.kill(mongo.pid, SIGKILL)
    eventually(lambda: gone(mongo.pid), within=30)
    time.sleep(0.3)
    mongo.stop()
    assert port.is_free(mongo.port)


@posix
def test_mongod_dies_with_a_killed_parent(mongod_dir: Path) -> None:
    with owner(mongod_dir) as (parent, pid):
        assert not gone(pid)
        parent.kill()
        parent.wait()
        elapsed = eventually(lambda: gone(pid), within=20)
    print(f"gone after {elapsed:.3f} s")


@posix
def test_surviving_mongod_is_adopted_and_stopped(mongod_factory: MongodFactory) -> None:
    first = mongod_factory()
    write(first, "a")
    with orphan(first) as process:
        second = mongod_factory(first.log_file.parent)
        assert second.pid == process.pid
        assert names(second) == ["a"]
        second.stop()
        assert process.wait(60) == 0


@pytest.mark.slow
@posix
def test_adopted_mongod_that_is_killed_is_restarted(mongod_factory: MongodFactory) -> None:
    first = mongod_factory()
    with orphan(first) as process:
        second = mongod_factory(first.log_file.parent)
        process.kill()
        process.wait()
        eventually(lambda: second.pid != process.pid, within=60)
        write(second, "a")


@pytest.mark.slow
@posix
def test_adopted_mongod_dies_with_its_killed_second_parent(mongod_factory: MongodFactory) -> None:
    first = mongod_factory()
    with orphan(first) as process, owner(first.log_file.parent) as (parent, pid):
        assert pid == process.pid
        parent.kill()
        assert process.wait(60) == -SIGKILL


@pytest.mark.slow
@posix
def test_surviving_mongod_on_an_unwanted_port_is_replaced(mongod_factory: MongodFactory) -> None:
    first = mongod_factory()
    with orphan(first) as process:
        second = mongod_factory(first.log_file.parent, port=port.choose(None))
        assert process.wait(60) == 0
        write(second, "a")


def test_port_in_use_is_named_and_its_user_left_alone(
    mongod: EmbeddedMongo, mongod_dir: Path
) -> None:
    with pytest.raises(SetupError, match=f"port {mongod.port} on 127.0.0.1 is in use"):
        EmbeddedMongo(mongod_dir, port=mongod.port).start()
    write(mongod, "still here")


def test_remembered_port_that_is_now_a_strangers_is_not_adopted(
    mongod: EmbeddedMongo, mongod_factory: MongodFactory, mongod_dir: Path
) -> None:
    port.remember(mongod_dir / "mongodb.port", mongod.port)
    mongo = mongod_factory(mongod_dir)
    assert mongo.port != mongod.port
    assert mongo.pid != mongod.pid


def test_start_that_fails_tells_the_last_words_of_mongod(
    mongod: EmbeddedMongo, mongod_dir: Path
) -> None:
    (mongod_dir / "mongodb").mkdir()
    (mongod_dir / "mongodb" / "storage.bson").write_bytes(b"not bson")
    with pytest.raises(SetupError) as failure:
        EmbeddedMongo(mongod_dir).start()
    text = str(failure.value)
    print(text)
    assert "exit code" in text
    assert "storage engine metadata" in text
    assert str(mongod_dir / "mongodb.log") in text


@pytest.mark.slow
def test_files_in_use_by_a_mongod_that_cannot_be_found_are_left_alone(
    mongod_factory: MongodFactory,
) -> None:
    first = mongod_factory()
    (first.log_file.parent / port.FILE).unlink()
    with pytest.raises(SetupError, match="DBPathInUse"):
        EmbeddedMongo(first.log_file.parent).start()
    write(first, "a")


@posix
def test_ctrl_c_ends_a_start_whose_mongod_does_not_even_tell_its_version(
    mongod_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent = tmp_path / "bin" / "mongod"
    silent.parent.mkdir()
    silent.write_text("#!/bin/sh\nexec sleep 50\n")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", str(silent.parent), prepend=os.pathsep)
    monkeypatch.setattr("consumer.mongodb.embedded.supervisor._KILLING", 0.2)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        EmbeddedMongo(mongod_dir).start()

    assert time.monotonic() - began < 30


def test_mongod_that_keeps_dying_is_tried_at_most_eight_times_in_a_minute() -> None:
    waits = [backoff(crash) for crash in range(1, 20)]
    assert all(sum(waits[first : first + 8]) > 60 for first in range(len(waits) - 8))


@pytest.mark.slow
def test_silent_listener_on_the_remembered_port_delays_but_does_not_stop_the_start(
    mongod_factory: MongodFactory, mongod_dir: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port.remember(mongod_dir / "mongodb.port", stranger.getsockname()[1])
        write(mongod_factory(mongod_dir), "a")


def test_running_log_is_bounded_to_two_files(mongod_factory: MongodFactory) -> None:
    mongo = mongod_factory()
    directory = mongo.log_file.parent
    server = Server(directory, 0.25)
    server.port = mongo.port
    for old in ("a", "b"):
        (directory / f"mongodb.log.{old}").write_text("", encoding="utf-8")
    os.truncate(mongo.log_file, 11 * 1024 * 1024)
    server.bound_log()
    assert mongo.log_file.stat().st_size < 100_000
    assert [file.stat().st_size > 10_000_000 for file in directory.glob("mongodb.log.*")] == [True]


def test_log_that_is_too_long_is_moved_aside_at_the_start(
    mongod_factory: MongodFactory, mongod_dir: Path
) -> None:
    (mongod_dir / "mongodb.log").write_bytes(b"x" * (11 * 1024 * 1024))
    mongo = mongod_factory(mongod_dir)
    assert mongo.log_file.stat().st_size < 1_000_000
    assert (mongod_dir / "mongodb.log.1").stat().st_size > 10_000_000
