"""A dead letter that is being tried while it is erased does not come back as an event."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.dead_letters.replay import Replay, safe_repair
from consumer.dead_letters.retry import OPEN
from consumer.ingest.ingest import Ingest, Processed
from consumer.mongodb.embedded import binary
from consumer.mongodb.indexes import create_indexes
from consumer.privacy.person_records import PersonRecords
from tests.contract.privacy.test_erasure import erase_all, where
from tests.support.dead_letters import Bench, bench
from tests.support.replica_set import Node

Db = Database[dict[str, Any]]
ANN = where("customer.email=ann@example.com")
BODY = b'\xef\xbb\xbf{"id":"1","type":"t","customer":{"email":"ann@example.com"}}'


@pytest.fixture(params=["replica set", "standalone"])
def here(
    request: pytest.FixtureRequest, mongod_uri: str, database: Db, mongod_dir: Path
) -> Iterator[Bench]:
    node = None
    if request.param == "standalone":
        node = Node(binary.locate(binary.candidates()), mongod_dir, 0, alone=True)
        node.start()
        mongod_uri = f"mongodb://{node.host}/?directConnection=true"
    made = bench(mongod_uri, database)
    made = Bench(made.shared, made.shared.database, made.job)
    create_indexes(made.database)
    made.receive(BODY)
    yield made
    made.shared.close()
    if node is not None:
        node.kill()


class Between:
    """An ingest that lets something happen between the insert of a document and what follows."""

    def __init__(self, ingest: Ingest, happens: Any) -> None:
        self._ingest = ingest
        self._happens = happens
        self.verify = ingest.verify
        self.take_back = ingest.take_back

    def process(self, *arguments: Any, **more: Any) -> Processed:
        processed = self._ingest.process(*arguments, **more)
        self._happens()
        return processed


def attempt(here: Bench, happens: Any) -> str:
    between: Any = Between(here.shared.ingest, happens)
    entry = here.letter()
    replay = Replay(between, here.shared.dead_letters, utc_now)
    return replay.entry(entry, "ann", safe_repair(bytes(entry["original_payload"]))).result


def test_an_attempt_whose_letter_is_gone_takes_its_event_back(here: Bench) -> None:
    result = attempt(here, lambda: here.database["dead_letter_queue"].delete_many({}))

    assert result == "erased"
    assert here.database["events"].count_documents({}) == 0
    assert here.letters() == []


def test_an_event_that_was_there_before_the_attempt_stays(here: Bench) -> None:
    entry = here.letter()
    corrected = safe_repair(bytes(entry["original_payload"]))
    assert corrected is not None
    attempt(here, lambda: None)
    here.database["dead_letter_queue"].update_one({}, {"$set": {"status": "pending_inspection"}})

    attempt(here, lambda: here.database["dead_letter_queue"].delete_many({}))

    assert here.database["events"].count_documents({}) == 1


def test_a_letter_that_expired_by_itself_leaves_its_event(here: Bench) -> None:
    past = {"$set": {"status": "discarded", "expires_at": utc_now()}}
    here.database["dead_letter_queue"].update_one({}, past)

    attempt(here, lambda: here.database["dead_letter_queue"].delete_many({}))

    assert here.database["events"].count_documents({}) == 1


def test_erasing_waits_for_an_attempt_and_erases_what_became_of_it(here: Bench) -> None:
    inserted, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inserted.set()
        assert go_on.wait(60)

    trying = threading.Thread(target=attempt, args=(here, wait))
    trying.start()
    assert inserted.wait(60)
    gone: list[tuple[int, int]] = []
    records = threading.Thread(target=lambda: gone.append(erase_all(here.database, ANN)))
    records.start()
    time.sleep(1)
    waited = len(here.letters())
    go_on.set()
    trying.join(60)
    records.join(60)

    assert (waited, gone) == (1, [(1, 1)])
    assert here.letters() == []
    assert here.database["events"].count_documents({}) == 0


def test_a_claim_that_nobody_ends_is_not_waited_for_for_ever(here: Bench) -> None:
    entry = here.shared.dead_letters.claims.claim(here.letter()["_id"], "x", OPEN)
    assert entry is not None
    far = {"$set": {"claim.until": utc_now() + timedelta(days=99_999)}}
    here.database["dead_letter_queue"].update_one({}, far)
    slept: list[float] = []
    records = PersonRecords(
        here.database, lambda payload: None, by_subject=True, sleep=slept.append
    )

    assert records.delete_dead_letters([entry["_id"]]) == 1
    assert 60 < sum(slept) < 120
