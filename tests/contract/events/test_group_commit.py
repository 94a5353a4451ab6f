"""Shared inserts: on their own with a gate for MongoDB, and against a real mongod."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from pymongo.write_concern import WriteConcern

from consumer.core.errors import ConstraintViolation, StoreError, StoreUnavailable, Unstorable
from consumer.core.group_commit import MAX_BYTES, MAX_COUNT, GroupCommit
from consumer.events.documents import encode
from consumer.events.store import EventStore
from consumer.mongodb.client import DURABLE, open_database
from consumer.mongodb.deadline import within
from tests.conftest import MongodFactory
from tests.support.service import eventually

Db = Database[dict[str, Any]]
Answer = bool | Exception


@dataclass(slots=True)
class Item:
    name: int
    size: int = 100


class Gate:
    """A `write` that lets nothing through until it is opened; `batches` is what came."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.batches: list[list[int]] = []

    def write(self, items: Sequence[Item]) -> None:
        self.batches.append([item.name for item in items])
        assert self.opened.wait(20)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(80) as executor:
        yield executor


def wait_for(queue: GroupCommit[Item] | EventStore, number: int) -> None:
    eventually(lambda: queue.waiting == number)


def queued(
    pool: ThreadPoolExecutor, group: GroupCommit[Item], gate: Gate, items: Sequence[Item]
) -> list[Future[None]]:
    """The first item is at the gate, the others wait behind it in their order."""
    futures = [pool.submit(group.submit, items[0])]
    eventually(lambda: gate.batches)
    for number, item in enumerate(items[1:], 1):
        futures.append(pool.submit(group.submit, item))
        wait_for(group, number)
    return futures


def test_one_alone_is_written_at_once_and_alone() -> None:
    gate = Gate()
    gate.opened.set()
    group = GroupCommit(gate.write)

    group.submit(Item(1))
    group.submit(Item(2))

    assert gate.batches == [[1], [2]]


def test_all_that_come_during_a_write_share_the_next_one(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    group = GroupCommit(gate.write, in_flight=1)
    futures = queued(pool, group, gate, [Item(n) for n in range(10)])

    gate.opened.set()
    for future in futures:
        future.result(10)

    assert gate.batches == [[0], list(range(1, 10))]
    assert group.waiting == 0


def test_who_has_the_most_time_left_writes_for_the_others(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    group = GroupCommit(gate.write, in_flight=1)
    futures = [pool.submit(group.submit, Item(0))]
    eventually(lambda: gate.batches)

    def patiently(item: Item, seconds: float | None) -> None:
        if seconds is None:
            group.submit(item)
        else:
            with within(seconds):
                group.submit(item)

    # Who waits for ever would let those wait who do not, in whatever it asks of MongoDB.
    for number, seconds in enumerate((None, 60, 90, None), 1):
        futures.append(pool.submit(patiently, Item(number), seconds))
        wait_for(group, number)
    gate.opened.set()
    for future in futures:
        future.result(10)

    assert gate.batches == [[0], [3, 2, 1, 4]]


def test_as_many_are_in_flight_as_allowed(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    group = GroupCommit(gate.write, in_flight=2)

    futures = [pool.submit(group.submit, Item(n)) for n in range(5)]
    eventually(lambda: len(gate.batches) == 2 and group.waiting == 3)
    gate.opened.set()
    for future in futures:
        future.result(10)

    assert sorted(map(len, gate.batches)) == [1, 1, 3]


def test_a_batch_is_bounded_in_bytes_and_in_count(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    group = GroupCommit(gate.write, in_flight=1)
    third = MAX_BYTES // 3
    large = [Item(n, third) for n in range(1, 6)] + [Item(6, 2 * MAX_BYTES), Item(7)]
    futures = queued(pool, group, gate, [Item(0), *large])

    gate.opened.set()
    for future in futures:
        future.result(10)

    # One that is larger than the bound by itself goes alone.
    assert gate.batches == [[0], [1, 2, 3], [4, 5], [6], [7]]
    assert MAX_COUNT * 100 < MAX_BYTES


def test_a_writer_that_breaks_ends_alone_and_all_others_go_on(pool: ThreadPoolExecutor) -> None:
    gate = Gate()

    def write(items: Sequence[Item]) -> None:
        gate.write(items)
        if items[0].name == 1:
            raise MemoryError

    group = GroupCommit(write, in_flight=1)
    futures = queued(pool, group, gate, [Item(n) for n in range(4)])
    gate.opened.set()

    with pytest.raises(MemoryError):
        futures[1].result(10)
    for number in (0, 2, 3):
        futures[number].result(10)
    # Its slot is free again.
    group.submit(Item(9))
    assert gate.batches[-1] == [9]


def test_who_meets_the_deadline_in_the_queue_is_not_written(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    group = GroupCommit(gate.write, in_flight=1)
    (first,) = queued(pool, group, gate, [Item(0)])

    with within(0.05):
        group.submit(Item(1))

    assert group.waiting == 0
    last = pool.submit(group.submit, Item(2))
    wait_for(group, 1)
    gate.opened.set()
    for future in (first, last):
        future.result(10)
    assert gate.batches == [[0], [2]]


def test_who_meets_the_deadline_with_the_writer_of_a_batch_leaves_it_to_that(
    pool: ThreadPoolExecutor,
) -> None:
    batches: list[list[int]] = []
    opened = [threading.Event(), threading.Event()]

    def write(items: Sequence[Item]) -> None:
        batches.append([item.name for item in items])
        assert opened[len(batches) - 1].wait(20)

    def settle(number: int, seconds: float) -> None:
        with within(seconds):
            group.submit(Item(number))

    group = GroupCommit(write, in_flight=1)
    first = pool.submit(group.submit, Item(0))
    eventually(lambda: batches)
    writer = pool.submit(settle, 1, 60)
    wait_for(group, 1)
    leaving = pool.submit(settle, 2, 0.3)
    wait_for(group, 2)
    opened[0].set()
    eventually(lambda: len(batches) == 2)

    leaving.result(10)

    assert not writer.done()
    opened[1].set()
    for future in (first, writer):
        future.result(10)
    assert batches == [[0], [1, 2]]


def test_nothing_is_lost_or_written_twice_under_load(pool: ThreadPoolExecutor) -> None:
    written: list[int] = []
    mutex = threading.Lock()

    def write(items: Sequence[Item]) -> None:
        with mutex:
            written.extend(item.name for item in items)

    group = GroupCommit(write, in_flight=2)
    list(pool.map(group.submit, [Item(n) for n in range(5000)]))

    assert sorted(written) == list(range(5000))


class Inserts(CommandListener):
    """Holds back the first insert command, and records how many documents each one brought."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.opened = threading.Event()
        self.on_second: Callable[[], object] = lambda: None

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name != "insert":
            return
        self.sizes.append(len(event.command["documents"]))
        if len(self.sizes) == 1:
            assert self.opened.wait(20)
        if len(self.sizes) == 2:
            self.on_second()

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def document(_id: str, **fields: Any) -> RawBSONDocument:
    return encode({"_id": _id, **fields, "_meta": {"digest": "d"}})


def together(
    uri: str,
    name: str,
    documents: Sequence[RawBSONDocument],
    inserts: Inserts,
    concern: WriteConcern = DURABLE,
) -> list[Answer]:
    """The answer of `append` to each of the documents, sent as one batch behind another insert."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        uri, event_listeners=[inserts], timeoutMS=4000
    )
    events = open_database(client, name)["events"].with_options(write_concern=concern)
    store = EventStore(events, False, in_flight=1)

    def answer(one: RawBSONDocument) -> Answer:
        try:
            return store.append(one, "d")
        except Exception as error:
            return error

    with client, ThreadPoolExecutor(len(documents) + 1) as pool:
        first = pool.submit(answer, document("the first"))
        eventually(lambda: inserts.sizes)
        answers = []
        for number, one in enumerate(documents, 1):
            answers.append(pool.submit(answer, one))
            wait_for(store, number)
        inserts.opened.set()
        first.result(20)
        return [future.result(20) for future in answers]


def test_each_of_a_batch_gets_its_own_answer(mongod_uri: str, database: Db) -> None:
    database.create_collection("events", validator={"n": {"$ne": "refused"}})
    database["events"].create_index(
        "order", unique=True, partialFilterExpression={"order": {"$exists": True}}
    )
    database["events"].insert_many([{"_id": "known"}, {"_id": "other", "order": 7}])
    inserts = Inserts()

    answers = together(
        mongod_uri,
        database.name,
        [
            document("a"),
            document("known"),
            document("b", order=7),
            document("c", n="refused"),
            document("d"),
            document("a"),
        ],
        inserts,
    )

    assert inserts.sizes == [1, 6]
    assert [answers[n] for n in (0, 1, 4, 5)] == [True, False, True, False]
    assert isinstance(answers[2], ConstraintViolation)
    assert "order" in str(answers[2])
    assert isinstance(answers[3], ConstraintViolation)
    assert "validator" in str(answers[3])
    assert {d["_id"] for d in database["events"].find()} == {
        "known", "other", "the first", "a", "d",
    }  # fmt: skip


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"x": value}
    return value


@pytest.mark.parametrize(
    ("poison", "meaning"),
    [
        # The server refuses the whole command for the first two, the driver for the third.
        (nested(185), StoreError),
        (nested(250), StoreError),
        ({"x": "x" * (17 * 1024 * 1024)}, Unstorable),
    ],
    ids=["deep", "too deep for any command", "too large for the driver"],
)
def test_a_poisonous_document_fails_alone(
    mongod_uri: str, database: Db, poison: dict[str, Any], meaning: type[Exception]
) -> None:
    # Past `encode` and the depth check of the parser, which refuse these first.
    poisonous = RawBSONDocument(bson.encode({"_id": "poison", "p": poison}))
    inserts = Inserts()
    # The queue is bounded in bytes, so the large one leads a batch rather than ends one.
    batch = [document("a"), poisonous, document("b")]

    answers = together(mongod_uri, database.name, batch, inserts)

    assert answers[0] is True
    assert isinstance(answers[1], meaning)
    assert answers[2] is True
    assert {d["_id"] for d in database["events"].find({}, {"_id": 1})} == {"the first", "a", "b"}


def test_a_batch_whose_outcome_is_unknown_is_unknown_for_each(
    mongod_factory: MongodFactory,
) -> None:
    server = mongod_factory()
    inserts = Inserts()
    inserts.on_second = lambda: server.stop(grace=0)

    answers = together(server.uri, "any", [document(f"{n}") for n in range(5)], inserts)

    assert inserts.sizes[:2] == [1, 5]
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 5
    assert len({id(answer) for answer in answers}) == 5


def test_a_batch_that_no_majority_confirms_is_unknown_for_each(
    mongod_uri: str, database: Db
) -> None:
    inserts = Inserts()
    # One node alone can never confirm for two: the documents are in, and may still be rolled back.
    unreachable = WriteConcern(w=2, j=True, wtimeout=50)

    batch = [document("a"), document("a"), document("b")]
    answers = together(mongod_uri, database.name, batch, inserts, unreachable)

    assert inserts.sizes == [1, 3]
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3


def test_threads_that_race_store_each_document_once(database: Db) -> None:
    store = EventStore(database["events"], conflicts_matter=False)
    documents = [document(str(number % 300)) for number in range(600)]

    with ThreadPoolExecutor(32) as pool:
        new = list(pool.map(lambda one: store.append(one, "d"), documents))

    assert sum(new) == 300
    assert database["events"].count_documents({}) == 300
