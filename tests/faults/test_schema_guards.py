"""Payloads that no schema should follow are stored as sent, told, and felt by nobody else."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bson
import pytest
from pymongo.database import Database
from structlog.testing import capture_logs

from consumer.core.paths import ANY_KEY
from consumer.mongodb.client import EVENTS, SCHEMA_VERSIONS
from consumer.schemas.policy import Guards
from tests.support import floods
from tests.support.floods import Payload
from tests.support.service import Client, running_service
from tests.support.spool import Sender
from tests.support.stored import documents, same, sent_part

Db = Database[dict[str, Any]]
Lines = list[dict[str, Any]]

GUARDS = Guards()
THREADS = 8


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]


@pytest.fixture
def service(database: Db, mongod_uri: str) -> Iterator[Client]:
    with running_service(mongod_uri, database.name) as client:
        yield client


def deliver(service: Client, payloads: Sequence[Payload]) -> None:
    """Post every payload over a few connections; each is answered as processed."""
    local = threading.local()
    senders: list[Sender] = []

    def post(payload: Payload) -> int:
        if not hasattr(local, "sender"):
            local.sender = Sender(service.service.server.address)
            senders.append(local.sender)
        return int(local.sender.post(payload)[0])

    with ThreadPoolExecutor(THREADS) as pool:
        statuses = set(pool.map(post, payloads))
    for sender in senders:
        sender.close()
    assert statuses == {200}


def neighbour(service: Client, turn: int) -> None:
    """Another type goes on evolving: each event brings a field, and each is registered."""
    fields = {f"field_{n}": n for n in range(turn)}
    answer = service.post({"id": f"neighbour-{turn}", "type": "neighbour", **fields})
    assert answer.json == {"status": "processed", "schema_version": turn}


def unlike(service: Client, database: Db, payloads: Sequence[Payload]) -> list[Any]:
    """The ids of payloads whose document is not what was sent, in value, type and order."""
    subjects = service.service.shared.registry
    found = {}
    for document in documents(database, {"id": {"$in": [each["id"] for each in payloads]}}):
        found[document["id"]] = sent_part(document, subjects.head(document["_meta"]["subject"]))
    return [each["id"] for each in payloads if not same(each, found.get(each["id"]))]


def beyond(database: Db) -> set[str]:
    """Bounds of the registry that are overstepped."""
    found = set()
    subjects: dict[str, int] = {}
    for version in database[SCHEMA_VERSIONS].find():
        subject = version["_id"]["subject"]
        subjects[subject] = max(subjects.get(subject, 0), version["_id"]["version"])
        live = [field for field in version["fields"] if "absorbed" not in field]
        if len(live) > GUARDS.paths_per_subject:
            found.add("paths_per_subject")
        if max(len(field["path"]) for field in live) > GUARDS.depth:
            found.add("depth")
        if len(bson.encode(version)) > GUARDS.version_bytes:
            found.add("version_bytes")
    if len(subjects) > GUARDS.subjects:
        found.add("subjects")
    # The tests take less than an hour.
    if max(subjects.values()) > GUARDS.versions_per_hour:
        found.add("versions_per_hour")
    return found


def untracked(database: Db) -> int:
    return database[EVENTS].count_documents({"_meta.untracked": {"$gt": 0}})


def counted(service: Client) -> dict[str, int]:
    """Events with untracked fields by guard, as /metrics says."""
    text = service.get("/metrics").body.decode()
    found = re.findall(
        r"^cxone_dataaction_schema_untracked_events_total\{(.*)\} (\S+)$", text, re.M
    )
    return {re.findall(r'guard="(.*?)"', labels)[0]: int(float(value)) for labels, value in found}


def warned(lines: Lines) -> list[tuple[str, str]]:
    """The subject and guard of every warning about a guard."""
    return [
        (line["subject"], line["guard"])
        for line in lines
        if line["log_level"] == "warning" and "a guard keeps" in line["event"]
    ]


@pytest.mark.slow
def test_ten_thousand_random_keys_in_each_of_two_events(
    service: Client, database: Db, lines: Lines
) -> None:
    first, second = payloads = floods.wide()
    neighbour(service, 1)

    deliver(service, [first])
    deliver(service, [second])

    neighbour(service, 2)
    assert unlike(service, database, payloads) == []
    assert beyond(database) == set()
    head = service.service.shared.registry.head("flood.wide")
    assert head is not None
    assert len(head.live) == GUARDS.paths_per_subject
    left_out = [
        each["_meta"]["untracked"] for each in documents(database, {"_meta.subject": "flood.wide"})
    ]
    assert min(left_out) > 10_000 - GUARDS.paths_per_event
    assert counted(service) == {"paths_per_event": 1, "paths_per_subject": 1}
    assert warned(lines) == [("flood.wide", "paths_per_event"), ("flood.wide", "paths_per_subject")]


@pytest.mark.slow
@pytest.mark.parametrize("events", [300, pytest.param(5_000, marks=pytest.mark.faults_full)])
def test_a_new_random_key_in_every_event(
    service: Client, database: Db, lines: Lines, events: int
) -> None:
    payloads = floods.drip(events)
    neighbour(service, 1)

    deliver(service, payloads)

    neighbour(service, 2)
    assert unlike(service, database, payloads) == []
    assert beyond(database) == set()
    head = service.service.shared.registry.head("flood.drip")
    assert head is not None
    assert head.number == GUARDS.versions_per_hour
    assert untracked(database) > events - GUARDS.versions_per_hour * THREADS
    assert counted(service) == {"versions_per_hour": untracked(database)}
    # One a minute.
    assert set(warned(lines)) == {("flood.drip", "versions_per_hour")}
    assert len(warned(lines)) <= 3


@pytest.mark.slow
def test_maps_keyed_by_uuids(service: Client, database: Db, lines: Lines) -> None:
    payloads = floods.maps()

    deliver(service, payloads)

    assert unlike(service, database, payloads) == []
    head = service.service.shared.registry.head("flood.maps")
    assert head is not None
    assert head.number == 1
    assert ("participants", ANY_KEY, "legs", ANY_KEY, "ms") in {field.path for field in head.live}
    assert (counted(service), untracked(database), warned(lines)) == ({}, 0, [])


@pytest.mark.slow
def test_nesting_ninety_deep(service: Client, database: Db, lines: Lines) -> None:
    payloads = floods.deep()

    deliver(service, payloads)
    # Once more when all that can be known of them is.
    deliver(service, [{**payload, "id": f"{payload['id']} again"} for payload in payloads])

    assert unlike(service, database, payloads) == []
    assert beyond(database) == set()
    assert counted(service) == {"depth": 4}
    assert untracked(database) == 4
    assert warned(lines) == [("flood.deep", "depth")]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1_200, pytest.param(3_000, marks=pytest.mark.faults_full)])
def test_thousands_of_types(service: Client, database: Db, lines: Lines, count: int) -> None:
    payloads = floods.types(count)
    neighbour(service, 1)

    deliver(service, payloads)

    neighbour(service, 2)
    assert unlike(service, database, payloads) == []
    assert beyond(database) == set()
    registered = len(database[SCHEMA_VERSIONS].distinct("_id.subject"))
    assert registered == GUARDS.subjects
    outside = database[EVENTS].count_documents({"schema_version": 0})
    assert outside == count - GUARDS.subjects + 1
    assert counted(service) == {"subjects": outside}
    assert [guard for _, guard in warned(lines)] == ["subjects"]


@pytest.mark.slow
def test_a_real_schema_of_700_paths_over_12_levels_is_no_problem(
    service: Client, database: Db, lines: Lines
) -> None:
    payloads = floods.large()

    deliver(service, payloads)

    head = service.service.shared.registry.head("real.large")
    assert head is not None
    assert len(head.live) > 700
    assert max(len(field.path) for field in head.live) > 12
    assert unlike(service, database, payloads) == []
    assert (counted(service), untracked(database), warned(lines)) == ({}, 0, [])


@pytest.mark.slow
@pytest.mark.parametrize("subjects", [100, pytest.param(900, marks=pytest.mark.faults_full)])
def test_900_subjects_are_no_problem(
    service: Client, database: Db, lines: Lines, subjects: int
) -> None:
    payloads = floods.many(subjects)

    deliver(service, payloads)

    assert len(service.service.shared.registry.subjects()) == subjects
    assert set(service.service.shared.registry.subjects().values()) <= {1, 2}
    assert unlike(service, database, payloads) == []
    assert (counted(service), untracked(database), warned(lines)) == ({}, 0, [])
