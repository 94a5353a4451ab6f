"""Finding stored events: what is found, in which order, and that indexes serve it alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson import Decimal128
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandListener

from consumer.events.matching import read_condition
from consumer.events.search import EventFilter, EventSearch
from consumer.mongodb.client import EVENTS
from consumer.mongodb.indexes import create_indexes

Db = Database[dict[str, Any]]
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def put(
    database: Db,
    name: str,
    key: Any,
    seconds: float,
    subject: str = "a",
    version: int = 1,
    filled: int = 1,
) -> None:
    meta = {"subject": subject, "key": key, "backfilled_to": filled, "exhibited_version": version}
    at = NOON + timedelta(seconds=seconds)
    document = {"_id": name, "schema_version": version, "processed_at": at, "_meta": meta}
    database[EVENTS].insert_one(document)


@pytest.fixture
def search(database: Db) -> EventSearch:
    create_indexes(database)
    return EventSearch(database[EVENTS])


def names(search: EventSearch, limit: int = 10, **wanted: Any) -> list[str]:
    return [row["_id"] for row in search.page(EventFilter(**wanted), limit).rows]


def test_an_id_is_found_as_text_and_as_the_number_that_it_reads_as(
    search: EventSearch, database: Db
) -> None:
    put(database, "text", "7", 1)
    put(database, "whole", 7, 2)
    put(database, "float", 7.0, 3)
    put(database, "exact", Decimal128("7"), 4)
    put(database, "other", "70", 5)

    assert names(search, key="7") == ["exact", "float", "whole", "text"]
    assert names(search, key='"7"') == ["text"]
    assert names(search, key="7", subjects=("b",)) == []


def test_a_subject_is_read_newest_first_whatever_its_events_were_stamped_with(
    search: EventSearch, database: Db
) -> None:
    put(database, "1", "k", 1, version=1, filled=3)
    put(database, "2", "k", 2, version=2, filled=2)
    put(database, "3", "k", 3, version=1, filled=1)
    put(database, "4", "k", 4, version=3, filled=3)
    put(database, "b", "k", 5, subject="b")

    assert names(search, subjects=("a",)) == ["4", "3", "2", "1"]
    assert names(search, subjects=("a",), version=1) == ["3", "1"]
    assert names(search, subjects=("a",), until=NOON + timedelta(seconds=3)) == ["3", "2", "1"]
    assert names(search, subjects=("a",), since=NOON + timedelta(seconds=3)) == ["4", "3"]
    assert names(search, subjects=("nothing",)) == []
    assert names(search) == ["b", "4", "3", "2", "1"]


def test_events_of_one_time_are_passed_over_one_by_one(search: EventSearch, database: Db) -> None:
    for name in "abcde":
        put(database, name, "k", 1)

    whole = names(search, subjects=("a",))
    rest = names(search, subjects=("a",), until=NOON + timedelta(seconds=1), skip=2)

    assert rest == whole[2:]


def test_a_subject_of_very_many_versions_is_read_in_part_and_that_is_said(
    search: EventSearch, database: Db
) -> None:
    for version in range(1, 121):
        put(database, str(version), "k", version, version=version, filled=120)

    found = search.page(EventFilter(subjects=("a",)), 200)

    assert found.partial
    assert [row["_id"] for row in found.rows] == [str(v) for v in range(120, 20, -1)]
    assert names(search, subjects=("a",), version=5) == ["5"]


def test_a_document_is_read_without_decoding_what_it_holds(
    search: EventSearch, database: Db
) -> None:
    event = {"_id": "x", "big": Decimal128(str(10**30)), "l": [{"n": 1}]}
    database[EVENTS].insert_one({**event, "r": {"$ref": "c", "$id": 1}})

    found = search.one("x")

    assert found == {"_id": "x", "big": 10**30, "l": [{"n": 1}], "r": {"$ref": "c", "$id": 1}}
    assert search.one("y") is None


def test_an_id_is_found_by_its_beginning_where_none_is_that_whole(
    search: EventSearch, database: Db
) -> None:
    put(database, "aaaaaa11", "evt-1", 1)
    put(database, "aaaaaa22", "evt-12", 3)
    put(database, "b", "evt-2", 2)
    put(database, "c", "%", 4)

    assert names(search, key="evt-", begins=True) == ["aaaaaa22", "b", "aaaaaa11"]
    assert names(search, key="evt-1", begins=True) == ["aaaaaa11"]
    assert names(search, key="aaaaaa", begins=True) == ["aaaaaa22", "aaaaaa11"]
    assert names(search, key="evt-", begins=True, subjects=("b",)) == []
    assert names(search, key="evt-", until=NOON, begins=True) == []
    assert names(search, key="evt-") == []
    assert names(search, key="evt.", begins=True) == []


def test_a_value_is_looked_for_in_the_newest_and_it_is_said_how_far_back(
    search: EventSearch, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.events.search.MOST_LOOKED_AT", 3)
    for number in range(6):
        put(database, f"{number}", "k", number, subject="ab"[number % 2])
        tier = {"tier": "gold" if number in (1, 5) else "tin"}
        database[EVENTS].update_one({"_id": f"{number}"}, {"$set": {"customer": [tier]}})
    gold = replace(read_condition("customer.tier=gold"), by_key=False)

    found = search.page(EventFilter(condition=gold), 10)
    assert found.back_to is not None
    further = search.page(EventFilter(condition=gold, until=found.back_to), 10)
    of_b = search.page(EventFilter(condition=gold, subjects=("b",)), 10)
    hidden = search.page(EventFilter(condition=gold), 10, lambda document: {})
    by_id = search.page(EventFilter(condition=gold, key="k"), 10)

    assert ([row["_id"] for row in found.rows], found.back_to.second) == (["5"], 2)
    assert ([row["_id"] for row in further.rows], further.back_to) == (["1"], None)
    assert ([row["_id"] for row in of_b.rows], of_b.back_to) == (["5", "1"], None)
    assert hidden.rows == []
    assert [row["_id"] for row in by_id.rows] == ["5"]


def test_of_many_subjects_the_newest_of_all_are_looked_at(
    search: EventSearch, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.events.search.MOST_LOOKED_AT", 30)
    for number in range(40):
        put(database, f"{number}", "k", number, subject=f"s{number % 20}", version=number // 20)
    many = tuple(f"s{number}" for number in range(11))

    found = search.page(EventFilter(subjects=many, version=1), 50)

    assert [row["_id"] for row in found.rows] == [str(number) for number in range(30, 19, -1)]
    assert found.back_to == NOON + timedelta(seconds=9)


class Finds(CommandListener):
    """The `find` commands that were sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        if event.command_name in ("find", "distinct"):
            kept = {k: v for k, v in event.command.items() if k[0] not in "$l" or k == "limit"}
            kept.pop("txnNumber", None)
            self.sent.append(kept)

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


@pytest.fixture
def finds(database: Db, mongod_uri: str) -> Iterator[tuple[EventSearch, Finds]]:
    create_indexes(database)
    for number in range(60):
        put(database, str(number), number, number, "ab"[number % 2], number % 3 + 1, number % 2 + 2)
    heard = Finds()
    with MongoClient[dict[str, Any]](mongod_uri, event_listeners=[heard]) as client:
        yield EventSearch(client[database.name][EVENTS]), heard


@pytest.mark.parametrize(
    "wanted",
    [
        EventFilter(),
        EventFilter(since=NOON),
        EventFilter(key="7"),
        EventFilter(subjects=("a",)),
        EventFilter(subjects=("a",), version=2, until=NOON + timedelta(hours=1)),
        EventFilter(subjects=("a", "b")),
        EventFilter(subjects=tuple(f"b{n}" for n in range(11))),
    ],
)
def test_every_search_reads_an_index_in_its_order_and_no_more_than_it_shows(
    finds: tuple[EventSearch, Finds], database: Db, wanted: EventFilter
) -> None:
    search, heard = finds

    search.page(wanted, 5)

    for command in heard.sent:
        allowed = {"find", "distinct", "filter", "query", "key", "sort", "hint", "limit"}
        kept = {name: value for name, value in command.items() if name in allowed}
        explained = database.command("explain", kept, verbosity="executionStats")
        plan = str(explained["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in plan
        assert "SORT'" not in plan
        assert explained["executionStats"]["totalDocsExamined"] <= 5
