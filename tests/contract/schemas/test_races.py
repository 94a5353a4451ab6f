"""Threads and processes that register at once lose no field, and leave no gap."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo.errors import DuplicateKeyError

from consumer.schemas.policy import Guards, SchemaPolicy
from consumer.schemas.registry.registry import Admission, SchemaRegistry
from tests.support.registry import Commands, Document, Versions, event, faults, stored
from tests.support.strategies import judge

Admit = Callable[[str, Document], int]


def race(registries: list[Admit], turns: int = 12) -> list[tuple[int, Document]]:
    """Each registry admits its own random payloads from a thread, all starting at once."""
    barrier = threading.Barrier(len(registries))

    def work(worker: int) -> list[tuple[int, Document]]:
        rng = random.Random(worker)
        barrier.wait()
        events = [event(worker, turn, rng) for turn in range(turns)]
        return [(registries[worker]("contact.created", each), each) for each in events]

    with ThreadPoolExecutor(len(registries)) as pool:
        return [pair for pairs in pool.map(work, range(len(registries))) for pair in pairs]


def number(registry: SchemaRegistry) -> Admit:
    return lambda subject, payload: registry.admit(subject, payload, payload["id"]).version


NO_RATE = SchemaPolicy(guards=Guards(versions_per_hour=100_000))


def test_threads_of_one_process_lose_no_field(versions: Versions) -> None:
    registry = SchemaRegistry(versions, NO_RATE)

    admitted = race([number(registry)] * 12)

    assert faults(versions, "contact.created", admitted) == []


def test_registries_of_several_processes_lose_no_field(versions: Versions) -> None:
    admitted = race([number(SchemaRegistry(versions, NO_RATE)) for _ in range(8)])

    assert faults(versions, "contact.created", admitted) == []


def naive(versions: Versions) -> Admit:
    """Read, modify, write without the unique number: what the registry must not be."""

    def admit(subject: str, payload: Document) -> int:
        history = stored(versions, subject)
        head = history[-1] if history else None
        following = judge(head, payload).next
        if following is None:
            return head.number if head else 0
        document = {**following.to_document(), "_id": {"subject": subject, "n": uuid.uuid4().hex}}
        document["_id"]["version"] = following.number
        versions.insert_one(document)
        return following.number

    return admit


def overwriting(versions: Versions) -> Admit:
    """Read, modify, replace: the other classic."""

    def admit(subject: str, payload: Document) -> int:
        history = stored(versions, subject)
        head = history[-1] if history else None
        following = judge(head, payload).next
        if following is None:
            return head.number if head else 0
        document = following.to_document()
        try:
            versions.replace_one({"_id": document["_id"]}, document, upsert=True)
        except DuplicateKeyError:
            versions.replace_one({"_id": document["_id"]}, document)
        return following.number

    return admit


@pytest.mark.parametrize("make", [naive, overwriting])
def test_the_check_of_races_can_fail(versions: Versions, make: Callable[[Versions], Admit]) -> None:
    admitted = race([make(versions) for _ in range(8)])

    assert faults(versions, "contact.created", admitted) != []


WORKER = textwrap.dedent("""
    import json, random, sys
    from pymongo import MongoClient
    from consumer.schemas.policy import Guards, SchemaPolicy
    from consumer.schemas.registry.registry import SchemaRegistry
    from tests.support.registry import event

    uri, database, worker = sys.argv[1], sys.argv[2], int(sys.argv[3])
    versions = MongoClient(uri, tz_aware=True)[database]["schema_versions"]
    registry = SchemaRegistry(versions, SchemaPolicy(guards=Guards(versions_per_hour=100_000)))
    rng = random.Random(worker)
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(25):
        payload = event(worker, turn, rng)
        print(json.dumps([registry.admit("contact.created", payload).version, payload]))
""")


def test_processes_that_race_lose_no_field(versions: Versions, mongod_uri: str) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, mongod_uri, versions.database.name, str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for worker in range(3)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        lines = [
            line for worker in workers for line in worker.communicate(timeout=60)[0].split("\n")
        ]
        assert all(worker.returncode == 0 for worker in workers)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            for stream in (worker.stdin, worker.stdout):
                if stream is not None:
                    stream.close()

    admitted = [tuple(json.loads(line)) for line in lines if line]
    assert len(admitted) == 75
    assert faults(versions, "contact.created", admitted) == []


def test_waiters_of_one_process_are_inserted_together(
    watched: tuple[Versions, Commands],
) -> None:
    versions, commands = watched
    registry = SchemaRegistry(versions, NO_RATE)
    registry.admit("s", {"a": 1})
    barrier = threading.Barrier(16)

    def admit(n: int) -> Admission:
        barrier.wait()
        return registry.admit("s", {"a": 1, f"field_{n}": 1}, f"event-{n}")

    with ThreadPoolExecutor(16) as pool:
        admissions = list(pool.map(admit, range(16)))

    inserts = commands.names.count("insert")
    registered = [a.registered for a in admissions if a.registered]
    assert 1 < inserts < 17
    assert len(registered) == inserts - 1
    # One look at the head for each insert, and one at the list of subjects.
    assert commands.names.count("find") == inserts + 1
    # One look at the head for each insert, and one at the list of subjects.
    assert commands.names.count("find") == inserts + 1
    causes = {change.caused_by for version in registered for change in version.changes}
    assert causes == {f"event-{n}" for n in range(16)}


@pytest.mark.parametrize("registries", [1, 4])
def test_subjects_stay_bounded_when_threads_and_processes_bring_them_at_once(
    versions: Versions, registries: int
) -> None:
    policy = SchemaPolicy(guards=Guards(subjects=40))
    racing = [SchemaRegistry(versions, policy) for _ in range(registries)]
    barrier = threading.Barrier(16)

    def work(worker: int) -> list[int]:
        barrier.wait()
        registry = racing[worker % registries]
        return [registry.admit(f"type-{worker}-{n}", {"a": 1}).version for n in range(20)]

    with ThreadPoolExecutor(16) as pool:
        admitted = [number for numbers in pool.map(work, range(16)) for number in numbers]

    known = len(versions.distinct("_id.subject"))
    assert sum(admitted) == known
    # What the threads of the other processes have in flight at the last place cannot be seen.
    assert 40 <= known <= 40 + 16 - 16 // registries
