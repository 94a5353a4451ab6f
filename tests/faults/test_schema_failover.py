"""A version number means one thing on a real replica set, whatever becomes of its primary."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import NotPrimaryError
from pymongo.read_concern import ReadConcern

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers
from consumer.core.errors import StoreUnavailable
from consumer.ingest.signature import sign
from consumer.mongodb.client import EVENTS, SCHEMA_VERSIONS
from consumer.mongodb.embedded.replica_set import direct
from consumer.runtime.settings_map import signature_scheme
from consumer.runtime.shared import SharedParts, build_shared
from consumer.schemas.check import compile_schema
from consumer.schemas.model import from_document
from tests.support.replica_set import Node, ReplicaSet, replica_set
from tests.support.service import SECRET, eventually
from tests.support.spool import load

Document = dict[str, Any]
SUBJECT = "contact.created"


@pytest.fixture(scope="module")
def members() -> Iterator[ReplicaSet]:
    # MongoDB's own election timeout: a primary that lost its majority takes writes so long.
    with (
        tempfile.TemporaryDirectory(prefix="cxone-failover-") as directory,
        replica_set(Path(directory)) as started,
    ):
        yield started


class House:
    """Parts of one process of the service, on a database of a test's own."""

    def __init__(self, uri: str, name: str, directory: Path) -> None:
        self._settings = load(uri, name, directory, cxone_schema_max_versions_per_hour="100000")
        self.shared: SharedParts = build_shared(self._settings, uri)

    def close(self) -> None:
        self.shared.close()

    def deliver(self, _id: str, **fields: Any) -> int | None:
        """The version that a delivery with these fields is stored under."""
        body = json.dumps({"id": _id, "type": SUBJECT, **fields}).encode()
        now = utc_now()
        headers = sign(signature_scheme(self._settings.main), SECRET.encode(), body, now)
        return self.shared.ingest.receive(Delivery(_id, body, Headers(headers), now)).schema_version

    def deliver_until_stored(self, _id: str, **fields: Any) -> int | None:
        """As a sender that repeats what was not answered well."""
        ends = time.monotonic() + 90
        while True:
            try:
                return self.deliver(_id, **fields)
            except StoreUnavailable:
                assert time.monotonic() < ends, "MongoDB does not come back"
                time.sleep(0.1)


@pytest.fixture
def name() -> str:
    return f"failover_{uuid.uuid4().hex}"


def versions_on(node: Node, name: str) -> list[Document]:
    """The versions that one node has by itself, acknowledged by others or not."""
    with direct(node.port) as client:
        versions = client[name].get_collection(SCHEMA_VERSIONS, read_concern=ReadConcern("local"))
        return list(versions.find().sort("_id"))


def await_versions(node: Node, name: str, count: int) -> None:
    def has_them() -> bool:
        # A node that rolls back answers nothing meanwhile.
        with contextlib.suppress(NotPrimaryError):
            return len(versions_on(node, name)) >= count
        return False

    eventually(has_them, 60)


def paths(version: Document) -> set[str]:
    return {".".join(field["path"]) for field in version["fields"]}


@pytest.mark.slow
@pytest.mark.parametrize("end", ["kill", pytest.param("freeze", marks=pytest.mark.faults_full)])
def test_a_version_that_only_a_lost_primary_has_is_never_used_and_its_number_means_another(
    members: ReplicaSet, name: str, tmp_path: Path, end: str
) -> None:
    members.settled()
    with (
        closing(House(members.uri, name, tmp_path / "one")) as one,
        closing(House(members.uri, name, tmp_path / "other")) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        assert one.deliver("first", a=1) == 1
        old = members.primary()
        rest = members.secondaries()

        # Killed, for a frozen one would still find the version in its sockets when it goes on.
        for node in rest:
            node.kill()
        lonely = pool.submit(one.deliver, "lonely", a=1, lost="only one node has it")
        ends = time.monotonic() + 8
        while len(versions_on(old, name)) < 2:
            assert time.monotonic() < ends, "the primary did not take the version"
            time.sleep(0.05)
        assert "lost" in paths(versions_on(old, name)[1])
        with pytest.raises(StoreUnavailable):
            lonely.result(timeout=60)
        # In this process it is not known either.
        assert one.shared.registry.compiled(SUBJECT).number == 1
        getattr(old, end)()
        for node in rest:
            node.start()
        members.primary()
        assert other.deliver_until_stored("second", a=1, kept="a majority has it") == 2
        if end == "kill":
            old.start()
        else:
            old.thaw()
        members.settled()
        assert one.deliver_until_stored("lonely", a=1, lost="only one node has it") == 3

        for node in members.nodes:
            # The last node may be a moment behind the majority.
            await_versions(node, name, 3)
            first, second, third = versions_on(node, name)
            assert not {"kept", "lost"} & paths(first)
            assert "kept" in paths(second)
            assert "lost" not in paths(second)
            assert {"kept", "lost"} <= paths(third)
            assert [each["caused_by"] for each in second["changes"]] == ["second"]
            assert [each["caused_by"] for each in third["changes"]] == ["lonely"]
        stamped = {
            document["id"]: document["schema_version"]
            for document in one.shared.database[EVENTS].find()
        }
        assert stamped == {"first": 1, "second": 2, "lonely": 3}


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, pytest.param(6, marks=pytest.mark.faults_full)])
def test_while_primaries_are_killed_every_version_told_keeps_its_meaning(
    members: ReplicaSet, name: str, tmp_path: Path, kills: int
) -> None:
    members.settled()
    told: list[tuple[int | None, Document]] = []
    meanings: dict[int, set[bytes]] = {}
    stop = threading.Event()

    with closing(House(members.uri, name, tmp_path / "house")) as house:

        def send(worker: int) -> None:
            turn = 0
            while not stop.is_set():
                fields = {f"field_{worker}_{turn}": turn}
                told.append((house.deliver_until_stored(f"{worker}-{turn}", **fields), fields))
                turn += 1
                time.sleep(0.05)

        def watch() -> None:
            # What a majority has at any moment is what it has at the end.
            with MongoClient[RawBSONDocument](
                members.uri, document_class=RawBSONDocument, serverSelectionTimeoutMS=60_000
            ) as client:
                versions = client[name].get_collection(
                    SCHEMA_VERSIONS, read_concern=ReadConcern("majority")
                )
                while not stop.is_set():
                    for version in versions.find():
                        number = version["_id"]["version"]
                        meanings.setdefault(number, set()).add(bytes(version.raw))
                    time.sleep(0.1)

        with ThreadPoolExecutor(5) as pool:
            running = [pool.submit(send, worker) for worker in range(4)]
            running.append(pool.submit(watch))
            try:
                for _ in range(kills):
                    time.sleep(1)
                    primary = members.primary()
                    primary.kill()
                    members.primary()
                    primary.start()
                    members.settled()
                time.sleep(1)
            finally:
                stop.set()
            for each in running:
                each.result(timeout=120)

        history = {
            each.number: compile_schema(each) for each in house.shared.registry.history(SUBJECT)
        }
        assert list(history) == list(range(1, len(history) + 1))
        assert len(told) > 20
        for number, fields in told:
            assert number in history
            assert not history[number].check(fields).unknown
        assert {number: len(found) for number, found in meanings.items()} == dict.fromkeys(
            meanings, 1
        )
        for node in members.nodes:
            await_versions(node, name, len(history))
            assert [each["_id"]["version"] for each in versions_on(node, name)] == list(history)
        with direct(members.primary().port) as client:
            final = {each["_id"]["version"]: each for each in client[name].schema_versions.find()}
        for number, (raw,) in ((number, tuple(found)) for number, found in meanings.items()):
            seen = RawBSONDocument(raw)
            assert from_document(final[number]).fields == from_document(seen).fields
