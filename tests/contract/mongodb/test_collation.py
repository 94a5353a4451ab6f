"""Collections that compare text as people do, and one that compares it as it is: we tell apart what
differs in case on both, and use our indexes on both."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from consumer.adoption.events import AdoptionEvents, pipeline
from consumer.events.recent import documents_by_subject
from consumer.events.search import EventFilter, EventSearch
from consumer.mongodb.client import COLLECTIONS, OurDatabase, open_database
from consumer.mongodb.indexes import BY_STAMP, INDEXES, create_indexes
from consumer.mongodb.retention import INDEX, Retention, apply_retention
from jobs.backfill.store import BackfillStore
from tests.support.processes import run
from tests.support.service import SECRET, Client, eventually, running_service

Db = Database[dict[str, Any]]
SECOND = timedelta(seconds=1)
AS_PEOPLE_DO = {"locale": "en", "strength": 2}
TYPES = ("Contact.Created", "contact.created", "CONTACT.CREATED")


class Commands(monitoring.CommandListener):
    """Every command that was sent, but for the driver's own."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture(params=[AS_PEOPLE_DO, None], ids=["collated", "plain"])
def events(request: pytest.FixtureRequest, database: Db) -> Any:
    options = {} if request.param is None else {"collation": request.param}
    return database.create_collection("events", **options)


@pytest.fixture
def ours(mongo_client: MongoClient[dict[str, Any]], database: Db) -> OurDatabase:
    return open_database(mongo_client, database.name)


@pytest.fixture
def listening() -> Iterator[Commands]:
    """Hears every client that is made while a test runs."""
    listener = Commands()
    monitoring.register(listener)
    yield listener
    monitoring._LISTENERS.command_listeners.remove(listener)


@pytest.fixture
def client(mongod_uri: str, database: Db) -> Iterator[Client]:
    quick = {"cxone_backfill_quiet": "0s", "cxone_backfill_interval": "1s"}
    with running_service(mongod_uri, database.name, **quick) as running:
        yield running


def plan(explained: dict[str, Any]) -> str:
    return str(explained.get("queryPlanner") or explained["stages"][0]["$cursor"]["queryPlanner"])


def explain(db: Db, command: dict[str, Any]) -> str:
    return plan(db.command("explain", command, verbosity="queryPlanner"))


def test_types_that_differ_in_case_have_fields_of_their_own(
    events: Any, client: Client, database: Db
) -> None:
    for number, name in enumerate(TYPES):
        client.post({"id": "1", "type": name, f"first{number}": 1})
    for number, name in enumerate(TYPES):
        client.post({"id": "2", "type": name, f"then{number}": 1})

    def filled() -> bool:
        return not events.count_documents({"_meta.backfilled_to": {"$lt": 2}})

    eventually(filled, 60)
    for number, name in enumerate(TYPES):
        own = {"_id", "_meta", "id", "type", "schema_version", "processed_at"}
        kept = [doc for doc in events.find() if doc["type"] == name]
        assert len(kept) == 2
        assert {key for doc in kept for key in doc} - own == {f"first{number}", f"then{number}"}


def test_erasing_an_id_leaves_those_that_differ_in_case(
    events: Any, client: Client, mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    for each in ("ABC-1", "abc-1", "Abc-1"):
        assert client.post({"id": each, "type": "t", "mail": f"{each}@x"}).status == 200
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
    }

    by_id = run(["events", "erase", "--id", "ABC-1", "--yes"], tmp_path, given)
    by_field = run(["events", "erase", "--where", "mail=Abc-1@x", "--yes"], tmp_path, given)

    assert (by_id.returncode, by_field.returncode) == (0, 0), by_id.stderr + by_field.stderr
    assert [doc["id"] for doc in events.find()] == ["abc-1"]


def test_each_index_of_ours_on_events_is_used(
    events: Any, ours: OurDatabase, mongod_uri: str
) -> None:
    listener = Commands()
    with MongoClient[dict[str, Any]](mongod_uri, event_listeners=[listener]) as watched:
        db = open_database(watched, ours.name)
        assert create_indexes(db) == []
        stamp = {"subject": "s", "key": "1", "backfilled_to": 1, "exhibited_version": 1}
        at = datetime(2026, 1, 1, tzinfo=timezone.utc)
        for number in range(50):
            one = {"_meta": stamp, "schema_version": 1, "processed_at": at + number * SECOND}
            events.insert_one({"_id": f"{number:064x}", **one})
        listener.sent.clear()
        EventSearch(db["events"]).page(EventFilter(subjects=("s",)), 5)
        EventSearch(db["events"]).page(EventFilter(key="1"), 5)
        EventSearch(db["events"]).page(EventFilter(), 5)
        EventSearch(db["events"]).one("00")
        store = BackfillStore(db["events"])
        ids = store.ids("s", 1, 0, 10)
        store.behind("s", 2)
        documents_by_subject(db["events"], 5)
        AdoptionEvents(db["events"]).count(at, None, "hour")
        AdoptionEvents(db["events"]).backlog("s", 2, at)
    assert len(ids) == 10

    asked = [each for each in listener.sent if {"find", "aggregate", "distinct"} & set(each)]
    assert len(asked) > 10
    for command in asked:
        kept = {k: v for k, v in command.items() if k[0] not in "$" and k not in ("lsid", "cursor")}
        kept.pop("maxTimeMS", None)
        if "aggregate" in kept:
            kept["cursor"] = {}
        found = explain(events.database, kept)
        assert "COLLSCAN" not in found, command
        assert "IXSCAN" in found or "IDHACK" in found or "_SCAN" in found, command


def test_every_command_says_how_it_compares_or_looks_up_by_id(
    events: Any, listening: Commands, mongod_uri: str, database: Db
) -> None:
    """All that the service and its jobs send to collections of ours."""
    quick = {"cxone_backfill_quiet": "0s", "cxone_backfill_interval": "1s"}
    with running_service(mongod_uri, database.name, **quick) as client:
        client.post({"id": "1", "type": "t", "a": 1})
        client.post({"id": "2", "type": "t", "b": 1})
        client.post({"type": "t"})
        eventually(lambda: not events.count_documents({"_meta.backfilled_to": {"$lt": 2}}), 60)

    told = [why for command in list(listening.sent) for why in compares_otherwise(command)]
    assert [each for each in listening.sent if each.get("update") == "events"]
    assert told == []


def compares_otherwise(command: dict[str, Any]) -> Iterator[Any]:
    """The statements of a command that compare text and do not say how."""
    name = next(iter(command), "")
    if command.get(name) not in COLLECTIONS or command.get("$db") in ("admin", "local"):
        return
    statements = [command]
    if name in ("update", "delete"):
        statements = command["updates" if name == "update" else "deletes"]
    elif name not in ("find", "aggregate", "distinct", "findAndModify"):
        return
    for each in statements:
        filters = {"find": "filter", "distinct": "query", "findAndModify": "query"}
        wanted = each.get(filters.get(name, "q"), {})
        if name == "aggregate":
            wanted = command["pipeline"][0].get("$match", {}) if command["pipeline"] else {}
        by = wanted.get("_id")
        known = by is not None and not (isinstance(by, dict) and set(by) & {"$gt", "$gte", "$nin"})
        if not known and each.get("collation") != {"locale": "simple"}:
            yield name, dict(each)


def test_an_index_of_ours_that_took_over_the_collation_is_made_anew_and_then_dropped(
    database: Db, ours: OurDatabase
) -> None:
    events = database.create_collection("events", collation=AS_PEOPLE_DO)
    for index in INDEXES:
        if index.collection == "events":
            options: Any = {} if index.only is None else {"partialFilterExpression": index.only}
            events.create_index(list(index.keys), **options)
    theirs = events.create_index("customer.email", unique=True, sparse=True)

    assert create_indexes(ours) == []

    found = {row["name"]: row for row in events.list_indexes()}
    collated = {name for name, row in found.items() if row.get("collation")}
    assert collated == {"_id_", theirs}
    for index in INDEXES:
        if index.collection == "events":
            assert index.name not in found
            assert list(found[f"{index.name}_simple"]["key"].items()) == list(index.keys)
    before = events.index_information()
    assert create_indexes(ours) == []
    assert events.index_information() == before


def test_an_index_of_the_users_own_beside_ours_is_left_and_not_taken(
    database: Db, ours: OurDatabase
) -> None:
    events = database["events"]
    events.create_index(list(BY_STAMP), name="theirs", collation=AS_PEOPLE_DO)

    assert create_indexes(ours) == []

    assert "theirs" in events.index_information()
    assert ours.hint("events", BY_STAMP) == "_".join(f"{k}_1" for k, _ in BY_STAMP)
    # A hint by the fields alone would be refused here: there are two.
    assert BackfillStore(ours["events"]).ids("s", 1, 0, 5) == []


def test_the_index_of_the_retention_follows_on_a_collection_with_a_collation(
    database: Db, ours: OurDatabase
) -> None:
    events = database.create_collection("events", collation=AS_PEOPLE_DO)
    events.create_index("processed_at", name=INDEX, expireAfterSeconds=86_400)

    apply_retention(ours, Retention(events=1))
    found = events.index_information()
    apply_retention(ours, Retention(events=2))
    later = events.index_information()
    apply_retention(ours, Retention())

    assert set(found) == {"_id_", f"{INDEX}_simple"}
    assert "collation" not in found[f"{INDEX}_simple"]
    assert later[f"{INDEX}_simple"]["expireAfterSeconds"] == 2 * 86_400
    assert set(events.index_information()) == {"_id_"}


def test_counting_reads_the_index_on_a_collection_with_a_collation(
    events: Any, ours: OurDatabase
) -> None:
    create_indexes(ours)
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    simple = {"locale": "simple"}
    command = {
        "aggregate": "events",
        "pipeline": pipeline(at, None, "hour"),
        "cursor": {},
        "collation": simple,
    }

    found = explain(ours, command)

    assert "IXSCAN" in found
    assert "FETCH" not in found
