"""A replica set of real mongods on loopback, whose nodes a test may kill, freeze and restart.

    with replica_set(directory) as members:
        client = MongoClient(members.uri)
        members.primary().kill()

`freeze` stops a node where it stands, as a network partition does: its port takes connections,
nothing is answered, and the others elect without it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from consumer.mongodb.embedded import binary, port, process
from consumer.mongodb.embedded.replica_set import direct, listens
from tests.support.processes import freeze, thaw

NAME = "tests"


class Node:
    """One mongod on files and a port of its own; `index` is its place in the set, unless it stands
    `alone`, in none."""

    def __init__(self, mongod: Path, directory: Path, index: int, *, alone: bool = False) -> None:
        self._set = [] if alone else ["--replSet", NAME]
        self.index = index
        self.port = port.choose(None)
        self._mongod = mongod
        self._directory = directory / f"node-{index}"
        self._process: process.Child | None = None
        self._frozen = False

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it, again or for the first time, and wait until it answers. Call it from a thread
        that lives as long as the node."""
        assert self._process is None, "it runs already"
        database = self._directory / "db"
        database.mkdir(parents=True, exist_ok=True)
        command = [str(self._mongod), "--dbpath", str(database), "--port", str(self.port)]
        command += ["--bind_ip", "127.0.0.1", "--networkMessageCompressors", "disabled"]
        command += [*self._set, "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25"]
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        command += ["--logpath", str(self._directory / "mongod.log"), "--logappend"]
        if sys.platform != "win32":
            command += ["--nounixsocket"]
        self._process = process.spawn(
            command, directory=self._directory, output=self._directory / "mongod.out"
        )
        self._until(lambda: listens(self.port), "it does not listen")
        with direct(self.port) as client:
            self._pid = int(client.admin.command("serverStatus")["pid"])

    def kill(self) -> None:
        """End it at once, as kill -9 does; also while it is frozen."""
        if self._process is not None:
            self._process.kill()
        self._process, self._frozen = None, False

    def stop(self, seconds: float = 30) -> None:
        """End it in good order: a primary hands over first."""
        assert self._process is not None
        self.thaw()
        self._process.terminate()
        assert self._process.wait(seconds), "it does not end"
        self._process = None

    def freeze(self) -> None:
        """Stop it where it stands until `thaw`. POSIX only."""
        freeze(self._pid)
        self._frozen = True

    def thaw(self) -> None:
        """Let a frozen node go on as if nothing had happened."""
        if self._frozen:
            thaw(self._pid)
        self._frozen = False

    def is_primary(self) -> bool:
        """Tell whether it says so itself; a frozen or dead node says nothing."""
        if self._process is None or self._frozen or not listens(self.port):
            return False
        with contextlib.suppress(PyMongoError), direct(self.port) as client:
            return bool(client.admin.command("hello").get("isWritablePrimary"))
        return False

    def state(self) -> str:
        """PRIMARY, SECONDARY, ROLLBACK, … as it says itself; DOWN when it says nothing."""
        if self._process is None or self._frozen or not listens(self.port):
            return "DOWN"
        with contextlib.suppress(PyMongoError), direct(self.port) as client:
            members = client.admin.command("replSetGetStatus")["members"]
            return next(str(each["stateStr"]) for each in members if each.get("self"))
        return "DOWN"

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        ends = time.monotonic() + 30
        while not condition():
            assert self._process is not None and self._process.exit_code() is None, "it ended"
            assert time.monotonic() < ends, otherwise
            time.sleep(0.02)


class ReplicaSet:
    """Nodes that form one set; every index of `nodes` is that of a member."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(node.host for node in self.nodes)}/?replicaSet={NAME}"

    def primary(self, timeout: float = 40.0) -> Node:
        """The node that is primary, once there is one."""
        ends = time.monotonic() + timeout
        while True:
            for node in self.nodes:
                if node.is_primary():
                    return node
            assert time.monotonic() < ends, "no primary was elected in time"
            time.sleep(0.05)

    def secondaries(self) -> list[Node]:
        """The running nodes beside the primary."""
        primary = self.primary()
        return [node for node in self.nodes if node is not primary and node.is_running]

    def settled(self, timeout: float = 60.0) -> None:
        """Wait until there is a primary and every running node is its secondary: rollbacks and
        catching up are over."""
        ends = time.monotonic() + timeout
        while True:
            states = sorted(node.state() for node in self.nodes if node.is_running)
            if states.count("PRIMARY") == 1 and states.count("SECONDARY") == len(states) - 1:
                return
            assert time.monotonic() < ends, f"the set does not settle: {states}"
            time.sleep(0.1)


@contextmanager
def replica_set(
    directory: Path, nodes: int = 3, election_timeout: float = 10.0
) -> Iterator[ReplicaSet]:
    """A new set of `nodes` with files in `directory`, all killed at the end; ready for writes.

    `election_timeout`: seconds without a word from the primary before the others elect; MongoDB's
    own default is 10.
    """
    mongod = binary.locate(binary.candidates())
    members = ReplicaSet([Node(mongod, directory, index) for index in range(nodes)])
    try:
        for node in members.nodes:
            node.start()
        config = {
            "_id": NAME,
            "members": [{"_id": node.index, "host": node.host} for node in members.nodes],
            "settings": {
                "electionTimeoutMillis": int(election_timeout * 1000),
                "heartbeatIntervalMillis": 500,
            },
        }
        with MongoClient[dict[str, Any]](members.nodes[0].host, directConnection=True) as client:
            client.admin.command("replSetInitiate", config)
        members.settled()
        yield members
    finally:
        for node in members.nodes:
            node.kill()
