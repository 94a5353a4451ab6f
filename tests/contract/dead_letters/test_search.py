"""Dead letters found for people, through the index alone, and many of them ended step by step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandListener

from consumer.core.clock import utc_now
from consumer.dead_letters.bulk import BulkRun, BulkRunner
from consumer.dead_letters.retry import OPEN, UNRESOLVED
from consumer.dead_letters.search import DeadLetterFilter, DeadLetterSearch
from consumer.dead_letters.store import DeadLetters
from consumer.mongodb.client import DEAD_LETTERS
from consumer.mongodb.indexes import create_indexes
from tests.support.dead_letters import Bench, bench

Db = Database[dict[str, Any]]
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
STATES = ("pending_inspection", "held", "resolved")
REASONS = ("malformed_json", "missing_fields", "contract_hold")
PAIRS = [(reason, status) for reason in REASONS for status in STATES]
WAITING = [(reason, status) for reason, status in PAIRS if status in UNRESOLVED]


def put(database: Db, number: int, reason: str, status: str, **fields: Any) -> None:
    at = NOON + timedelta(minutes=number)
    entry = {
        "_id": f"{number:024x}",
        "reason": reason,
        "status": status,
        "timestamp": at,
        "last_seen": at,
        "seen": 1,
        "retry_count": 0,
        "event_type": "t",
        "original_payload": b'{"type":"t"}',
        "headers": {},
        "verdict": {"secret": "current", "verified_at": at},
        "history": [],
        **fields,
    }
    database[DEAD_LETTERS].insert_one(entry)


@pytest.fixture
def search(database: Db) -> DeadLetterSearch:
    create_indexes(database)
    for number in range(90):
        put(database, number, REASONS[number % 3], STATES[number // 3 % 3])
    return DeadLetterSearch(database[DEAD_LETTERS])


def numbers(entries: list[dict[str, Any]]) -> list[int]:
    return [int(entry["_id"], 16) for entry in entries]


def test_entries_come_last_seen_first_over_all_reasons_and_without_their_bodies(
    search: DeadLetterSearch,
) -> None:
    found = search.newest({}, WAITING, 5)

    # What has ended (every third three) is left out.
    assert numbers(found) == [86, 85, 84, 83, 82]
    assert not {"original_payload", "headers", "history"} & found[0].keys()
    assert found[0]["bytes"] == len(b'{"type":"t"}')
    of_reason = [pair for pair in PAIRS if pair[0] == "malformed_json"]
    assert numbers(search.newest({}, of_reason, 2)) == [87, 84]
    assert search.newest({"event_type": "other"}, PAIRS, 2) == []
    assert search.newest({}, [], 2) == []
    until = DeadLetterFilter(until=NOON + timedelta(minutes=4), since=NOON + timedelta(minutes=3))
    assert numbers(search.newest(until.query(), PAIRS, 9)) == [4, 3]


def test_entries_of_one_cause_are_together_however_far_apart_they_came(
    database: Db,
) -> None:
    create_indexes(database)
    for number in range(30):
        says = {"error_message": f"Malformed JSON: '{number}' at byte {number}"}
        says |= {"diagnosis": f"secret {number} is another's"} if number % 3 == 0 else {}
        kind = {"event_type": "ab"[number % 2]}
        put(database, number, "malformed_json", "held", seen=2, **says, **kind)
    database[DEAD_LETTERS].insert_one({"reason": "malformed_json", "status": "held", "x": 1})
    search = DeadLetterSearch(database[DEAD_LETTERS])

    parsed, diagnosed = search.causes({}, PAIRS)
    last = search.causes({}, PAIRS, 5)

    assert numbers([{"_id": _id} for _id in diagnosed.ids]) == [*range(27, -1, -3)]
    assert (parsed.message, diagnosed.message) == (
        "Malformed JSON: '29' at byte 29",
        "secret 27 is another's",
    )
    assert (parsed.seen, parsed.types) == (40, ["a", "b"])
    assert (parsed.oldest, parsed.least) == (NOON + timedelta(minutes=1),) * 2
    assert parsed.newest == NOON + timedelta(minutes=29)
    assert parsed.key != diagnosed.key
    assert sorted(int(_id, 16) for cause in last for _id in cause.ids) == [25, 26, 27, 28, 29]
    assert {cause.key for cause in last} == {parsed.key, diagnosed.key}


def test_entries_are_counted_by_reason_and_status(search: DeadLetterSearch) -> None:
    counts = search.counts(DeadLetterFilter(reason="malformed_json", statuses=("held",)))

    assert counts == [("malformed_json", "held", 10)]
    assert search.counts(DeadLetterFilter(event_type="other")) == []


class Reads(CommandListener):
    """The commands that read."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        if event.command_name == "aggregate":
            kept = ("aggregate", "pipeline", "hint", "cursor")
            self.sent.append({k: v for k, v in event.command.items() if k in kept})

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


def test_a_list_sorts_nothing_and_reads_no_more_than_it_shows(
    search: DeadLetterSearch, database: Db, mongod_uri: str
) -> None:
    heard = Reads()
    with MongoClient[dict[str, Any]](mongod_uri, event_listeners=[heard]) as client:
        watched = DeadLetterSearch(client[database.name][DEAD_LETTERS])
        watched.newest({}, WAITING, 5)
        watched.newest({"last_seen": {"$lte": NOON + timedelta(hours=1)}}, PAIRS, 5)
        watched.causes(DeadLetterFilter(statuses=UNRESOLVED).query(), WAITING, 5)

    assert len(heard.sent) == 3
    for command in heard.sent:
        explained = database.command("explain", command, verbosity="executionStats")
        found = explained["stages"][0]["$cursor"] if "stages" in explained else explained
        plan = str(found["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in plan
        assert "SORT_MERGE" in plan
        assert "'SORT'" not in plan
        # Those that it shows, and the next one of each reason and status.
        assert found["executionStats"]["totalDocsExamined"] <= 5 + len(PAIRS)


@pytest.fixture
def here(mongod_uri: str, database: Db) -> Iterator[Bench]:
    create_indexes(database)
    found = bench(mongod_uri, database)
    yield found
    found.shared.close()


def bulk(here: Bench, database: Db, seconds: float = 60) -> BulkRunner:
    letters: DeadLetters = here.shared.dead_letters
    search = DeadLetterSearch(database[DEAD_LETTERS])
    return BulkRunner(search, letters.claims, here.shared.replay, utc_now, seconds)


def test_a_discard_comes_back_to_what_was_being_tried(here: Bench, database: Db) -> None:
    for number in range(5):
        put(database, number, "missing_fields", "pending_inspection")
    claims = here.shared.dead_letters.claims
    claimed = claims.claim(f"{2:024x}", "a sweep", OPEN)
    assert claimed is not None
    run = BulkRun("discard", DeadLetterFilter(statuses=UNRESOLVED), 5, "because")

    first = bulk(here, database).step(run, "Ada")
    claims.release(claimed)
    second = bulk(here, database).step(BulkRun.load(first.dump()), "Ada")

    assert (first.over, first.ended) == (False, {"discarded": 4})
    assert (second.over, second.ended) == (True, {"discarded": 5})
    assert database[DEAD_LETTERS].count_documents({"discarded_because": "because"}) == 5


def test_a_discard_that_meets_the_same_busy_entry_each_time_ends_and_says_so(
    here: Bench, database: Db
) -> None:
    put(database, 1, "missing_fields", "pending_inspection")
    here.shared.dead_letters.claims.claim(f"{1:024x}", "a sweep", OPEN)
    run = BulkRun("discard", DeadLetterFilter(statuses=UNRESOLVED), 1, "because")

    for _ in range(5):
        assert not run.over
        run = bulk(here, database).step(run, "Ada")

    assert (run.over, run.ended) == (True, {"had ended, or is being tried just now": 1})


def test_a_retry_is_cut_into_steps_and_meets_each_entry_once(here: Bench, database: Db) -> None:
    for number in range(7):
        put(database, number, "missing_fields", "pending_inspection")
    put(database, 7, "store_error", "parked", original_payload=b'{"id":"1","type":"t"}')
    put(database, 8, "missing_fields", "resolved")
    wanted = DeadLetterFilter(statuses=UNRESOLVED, first_until=NOON + timedelta(minutes=7))
    run, steps = BulkRun("retry", wanted, 8), 0

    while not run.over and steps < 20:
        run = bulk(here, database, seconds=0).step(BulkRun.load(run.dump()), "Ada")
        steps += 1

    assert steps == 9
    assert run.ended == {"stays: missing_fields": 7, "resolved: processed": 1}
    tried = database[DEAD_LETTERS].distinct("retry_count", {"_id": {"$lt": f"{8:024x}"}})
    assert tried == [1]
