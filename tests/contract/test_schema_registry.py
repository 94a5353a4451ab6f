"""The registry on a real MongoDB: races, guards, holds, and what it costs."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect, DuplicateKeyError

from consumer.errors import ContractHold, SchemaMoved, StoreUnavailable
from consumer.schema.compiled import compile_schema
from consumer.schema.draft import Draft
from consumer.schema.model import SchemaVersion, from_document, shape_of
from consumer.schema.policy import Contract, Guards, SchemaPolicy, SubjectPolicy
from consumer.schema.shape import join
from consumer.storage.schema_registry import Admission, SchemaRegistry
from consumer.storage.schema_versions import SchemaSummary, SchemaVersions
from tests.strategies import NOW, judge, learn

Document = dict[str, Any]
Versions = Collection[Document]


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class Commands(monitoring.CommandListener):
    """Counts the commands that reach MongoDB, and keeps the last of each name."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.last: dict[str, Any] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.names.append(event.command_name)
        self.last[event.command_name] = event.command

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


@pytest.fixture
def versions(database: Database[Document]) -> Versions:
    return database["schema_versions"]


@pytest.fixture
def watched(database: Database[Document], mongod_uri: str) -> Iterator[tuple[Versions, Commands]]:
    """The same collection through a client of its own, with the commands it sends."""
    commands = Commands()
    with MongoClient[Document](mongod_uri, event_listeners=[commands]) as client:
        yield client[database.name]["schema_versions"], commands


def stored(versions: Versions, subject: str) -> list[SchemaVersion]:
    utc = versions.with_options(
        codec_options=versions.codec_options.with_options(tz_aware=True, tzinfo=timezone.utc)
    )
    return [from_document(d) for d in utc.find({"_id.subject": subject}).sort("_id.version")]


def event(worker: int, turn: int, rng: random.Random) -> Document:
    """A payload that brings something new now and then."""
    payload: Document = {"id": f"{worker}-{turn}", "type": "contact.created"}
    payload[f"field_{rng.randrange(40)}"] = rng.choice([1, 1.5, "x", None, {"deep": turn}, [turn]])
    return payload


# -- races ---------------------------------------------------------------------------------------

Admit = Callable[[str, Document], int]


def faults(versions: Versions, subject: str, admitted: list[tuple[int, Document]]) -> list[str]:
    """What is wrong with the versions of a subject after `admitted` (version, payload) pairs."""
    found = []
    history = stored(versions, subject)
    if [version.number for version in history] != list(range(1, len(history) + 1)):
        found.append("the numbers have a gap")
    whole = shape_of(None)
    by_number = {version.number: version for version in history}
    for number, payload in admitted:
        whole = join(whole, shape_of(learn([payload])))
        version = by_number.get(number)
        if version is None or compile_schema(version).check(payload).unknown:
            found.append(f"version {number} lacks fields of a payload it admitted")
    if history and shape_of(history[-1]) != whole:
        found.append("the head is not the join of all that was admitted")
    for older, newer in pairwise(history):
        if [f.path for f in newer.fields][: len(older.fields)] != [f.path for f in older.fields]:
            found.append("a version does not extend the one before")
    return found


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
    from consumer.schema.policy import Guards, SchemaPolicy
    from consumer.storage.schema_registry import SchemaRegistry
    from tests.contract.test_schema_registry import event

    uri, database, worker = sys.argv[1], sys.argv[2], int(sys.argv[3])
    versions = MongoClient(uri)[database]["schema_versions"]
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


# -- what it costs -------------------------------------------------------------------------------


def test_a_known_payload_costs_no_command(watched: tuple[Versions, Commands]) -> None:
    versions, commands = watched
    registry = SchemaRegistry(versions)
    registry.admit("s", {"a": 1})
    commands.names.clear()

    assert registry.admit("s", {"a": 2}).version == 1
    assert commands.names == []


def test_first_sight_of_a_known_subject_costs_one_read(
    versions: Versions, watched: tuple[Versions, Commands]
) -> None:
    SchemaRegistry(versions).admit("s", {"a": 1})
    registry, commands = SchemaRegistry(watched[0]), watched[1]

    registry.admit("s", {"a": 2})

    assert commands.names == ["find"]


def test_reads_and_writes_name_their_concerns_whatever_the_uri_says(
    database: Database[Document], mongod_uri: str
) -> None:
    commands = Commands()
    weak = f"{mongod_uri}{'&' if '?' in mongod_uri else '/?'}w=1&readPreference=secondaryPreferred"
    with MongoClient[Document](weak, event_listeners=[commands]) as client:
        SchemaRegistry(client[database.name]["schema_versions"]).admit("s", {"a": 1})

    assert commands.last["insert"]["writeConcern"]["w"] == "majority"
    assert commands.last["insert"]["writeConcern"]["j"] is True
    assert commands.last["find"]["readConcern"]["level"] == "majority"
    assert commands.last["find"].get("$readPreference", {"mode": "primary"})["mode"] == "primary"


def plan(versions: Versions, command: Document) -> list[str]:
    """The stages of the winning plan, outermost first."""
    explained = versions.database.command("explain", command, verbosity="queryPlanner")
    stage = explained["queryPlanner"]["winningPlan"]
    stage = stage.get("queryPlan", stage)
    stages = []
    while stage:
        stages.append(
            f"{stage['stage']}:{stage['indexName']}" if "indexName" in stage else stage["stage"]
        )
        stage = stage.get("inputStage")
    return stages


def sent(commands: Commands) -> Document:
    keep = ("find", "filter", "sort", "limit", "projection", "hint")
    return {key: value for key, value in commands.last["find"].items() if key in keep}


def test_every_read_uses_the_index_on_id(watched: tuple[Versions, Commands]) -> None:
    versions, commands = watched
    store = SchemaVersions(versions)
    for n in range(20):
        store.insert(SchemaVersion(f"s{n % 4}", n // 4 + 1, (), (), NOW))

    store.head("s1")
    head = plan(versions, sent(commands))
    list(store.history("s1"))
    history = plan(versions, sent(commands))
    list(store.advanced({"s1": 3, "s2": 5}))
    advanced = plan(versions, sent(commands))
    assert store.subjects() == {f"s{n}": 5 for n in range(4)}
    subjects = plan(versions, sent(commands))

    assert head[-2:] == ["FETCH", "IXSCAN:_id_"]
    assert history[-2:] == ["FETCH", "IXSCAN:_id_"]
    assert advanced[-1] == "IXSCAN:_id_"
    assert subjects == ["PROJECTION_COVERED", "IXSCAN:_id_"]
    explained = versions.database.command(
        "explain",
        {"find": versions.name, **{k: v for k, v in sent(commands).items() if k != "find"}},
        verbosity="executionStats",
    )
    assert explained["executionStats"]["totalDocsExamined"] == 0


def test_the_head_is_found_with_one_document_examined(
    watched: tuple[Versions, Commands],
) -> None:
    versions, commands = watched
    store = SchemaVersions(versions)
    for n in range(1, 13):
        store.insert(SchemaVersion("s", n, (), (), NOW))
    store.insert(SchemaVersion("s2", 1, (), (), NOW))

    head = store.head("s")

    assert head is not None
    assert head.number == 12
    explained = versions.database.command("explain", sent(commands), verbosity="executionStats")
    assert explained["executionStats"]["totalDocsExamined"] == 1


def test_refresh_takes_over_what_another_process_registered(
    versions: Versions, watched: tuple[Versions, Commands]
) -> None:
    here, there, commands = SchemaRegistry(watched[0]), SchemaRegistry(versions), watched[1]
    for n in range(5):
        here.admit(f"s{n}", {"a": 1})
    there.admit("s3", {"b": 1})
    commands.names.clear()

    here.refresh()

    head = here.head("s3")
    assert head is not None
    assert head.number == 2
    assert commands.names == ["find", "find"]
    assert here.subjects() == {"s0": 1, "s1": 1, "s2": 1, "s3": 2, "s4": 1}
    assert [version.number for version in here.history("s3")] == [1, 2]


# -- contracts -----------------------------------------------------------------------------------


def holding(subject: str = "s") -> SchemaPolicy:
    return SchemaPolicy(subjects={subject: SubjectPolicy(contract=Contract("hold", "hold"))})


def test_a_hold_registers_nothing_and_names_the_changes(versions: Versions) -> None:
    registry = SchemaRegistry(versions, holding())
    registry.admit("s", {"a": 1})

    with pytest.raises(ContractHold, match="approve") as caught:
        registry.admit("s", {"a": "secret value", "b": 1}, "event-7")

    assert "secret value" not in str(caught.value)
    assert [(c["class"], c["path"], c["caused_by"]) for c in caught.value.changes] == [
        ("type_conflict", ["a"], "event-7"),
        ("field_added", ["b"], "event-7"),
    ]
    assert len(stored(versions, "s")) == 1


def test_the_head_is_read_again_before_anything_is_held(versions: Versions) -> None:
    here, there = SchemaRegistry(versions, holding()), SchemaRegistry(versions)
    here.admit("s", {"a": 1})
    there.admit("s", {"a": 1, "b": 1})

    admission = here.admit("s", {"a": 1, "b": 2})

    assert (admission.version, admission.registered) == (2, None)


def test_the_head_is_read_again_before_anything_is_registered(versions: Versions) -> None:
    here, there = SchemaRegistry(versions), SchemaRegistry(versions)
    here.admit("s", {"a": 1})
    there.admit("s", {"b": 1})

    admission = here.admit("s", {"b": 2, "c": 1})

    assert admission.version == 3
    assert faults(versions, "s", [(1, {"a": 1}), (2, {"b": 1}), (3, {"b": 2, "c": 1})]) == []


def test_held_waiters_do_not_hold_their_neighbours(versions: Versions) -> None:
    policy = SchemaPolicy(general=SubjectPolicy(contract=Contract(on_type_conflict="hold")))
    registry = SchemaRegistry(versions, policy)
    registry.admit("s", {"a": 1})
    barrier = threading.Barrier(8)

    def admit(n: int) -> str:
        barrier.wait()
        try:
            registry.admit("s", {"a": "x"} if n % 2 else {"a": 1, f"b{n}": 1})
        except ContractHold:
            return "held"
        return "admitted"

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(admit, range(8)))

    assert ends == ["admitted", "held"] * 4
    assert {f.path for f in stored(versions, "s")[-1].fields} == {
        ("a",),
        ("b0",),
        ("b2",),
        ("b4",),
        ("b6",),
    }


def drafted(registry: SchemaRegistry, payload: Document) -> Draft:
    draft = registry.draft("s", by_hand=True)
    draft.approve(payload, "event-7")
    return draft


def test_an_approval_registers_what_was_held(versions: Versions) -> None:
    registry = SchemaRegistry(versions, holding())
    registry.admit("s", {"a": 1})

    registered = registry.register(drafted(registry, {"a": "x"}))

    assert registered == stored(versions, "s")[-1]
    assert (registered.number, [c.caused_by for c in registered.changes]) == (2, ["event-7"])
    assert registry.admit("s", {"a": "y"}).version == 2


def test_an_approval_of_an_older_head_is_refused(versions: Versions) -> None:
    registry = SchemaRegistry(versions, holding())
    registry.admit("s", {"a": 1})
    draft = drafted(registry, {"a": "x"})
    SchemaRegistry(versions).admit("s", {"z": 1})

    with pytest.raises(SchemaMoved, match='"s" is at version 2, you approved 1: reload'):
        registry.register(draft)

    assert len(stored(versions, "s")) == 2


def test_two_approvals_of_the_same_content_register_it_once(versions: Versions) -> None:
    one, two = SchemaRegistry(versions, holding()), SchemaRegistry(versions, holding())
    one.admit("s", {"a": 1})
    drafts = [drafted(one, {"a": "x"}), drafted(two, {"a": "x"})]

    results = [one.register(drafts[0]), two.register(drafts[1])]

    assert [version.number if version else 0 for version in results] == [2, 2]
    assert len(stored(versions, "s")) == 2


@pytest.mark.parametrize("lost", [["after"], ["before"]])
def test_an_approval_whose_answer_was_lost_is_settled_by_reading(
    versions: Versions, lost: list[str]
) -> None:
    SchemaRegistry(versions).admit("s", {"a": 1})
    lossy: Any = LossyCollection(versions, lost)
    registry = SchemaRegistry(lossy, holding())
    draft = drafted(registry, {"a": "x"})

    if lost == ["before"]:
        with pytest.raises(StoreUnavailable, match="version 2"):
            registry.register(draft)
    registered = registry.register(draft)

    assert registered == stored(versions, "s")[-1]
    assert len(stored(versions, "s")) == 2


def test_a_draft_registers_nothing_by_itself(versions: Versions) -> None:
    registry = SchemaRegistry(versions)

    draft = registry.draft("s")
    draft.deliver({"a": 1})

    assert (draft.at, draft.is_new) == (0, True)
    assert stored(versions, "s") == []
    assert registry.draft("x" * 257).deliver({"a": 1}).guard == "subject_name"


def test_an_approval_does_not_wait_for_the_hour(versions: Versions) -> None:
    policy = SchemaPolicy(guards=Guards(versions_per_hour=1))
    registry = SchemaRegistry(versions, policy)
    registry.admit("s", {"a": 1})

    assert registry.draft("s").deliver({"b": 1}).guard == "versions_per_hour"
    assert registry.register(drafted(registry, {"b": 1})) == stored(versions, "s")[1]


def test_subjects_are_told_in_figures_with_the_fields_that_no_map_absorbed(
    versions: Versions,
) -> None:
    clock = Clock()
    registry = SchemaRegistry(versions, clock=clock)
    registry.admit("b", {"a": 1})
    clock.move(minutes=1)
    registry.admit("a", {"m": {f"k{n}": 1 for n in range(60)}})
    registry.admit("a", {"m": {f"x{n}": 1 for n in range(60)}})

    assert registry.summaries() == [
        SchemaSummary("a", 2, 2, clock.now),
        SchemaSummary("b", 1, 1, clock.now - timedelta(minutes=1)),
    ]


# -- guards --------------------------------------------------------------------------------------


def test_versions_of_an_hour_are_bounded_and_the_field_comes_later(versions: Versions) -> None:
    clock = Clock()
    policy = SchemaPolicy(guards=Guards(versions_per_hour=3))
    registry = SchemaRegistry(versions, policy, clock)
    for n in range(3):
        clock.move(minutes=1)
        registry.admit("s", {f"field_{n}": 1})

    guarded = registry.admit("s", {"field_0": 1, "new": 1})
    other = registry.admit("other", {"a": 1})
    clock.move(minutes=57)
    still = registry.admit("s", {"new": 1})
    clock.move(minutes=2)
    later = registry.admit("s", {"new": 1})

    assert (guarded.version, guarded.guard, guarded.untracked) == (3, "versions_per_hour", 1)
    assert guarded.exhibited == 1
    assert len(guarded.gaps) == 1
    assert still.guard == "versions_per_hour"
    assert (other.version, other.guard) == (1, None)
    assert (later.version, later.guard) == (4, None)


def test_subjects_are_bounded_and_other_subjects_feel_nothing(versions: Versions) -> None:
    clock = Clock()
    registry = SchemaRegistry(versions, SchemaPolicy(guards=Guards(subjects=2)), clock)
    registry.admit("one", {"a": 1})
    registry.admit("two", {"a": 1})

    kept_out = registry.admit("three", {"a": 1, "b": 1})

    assert (kept_out.version, kept_out.exhibited) == (0, 0)
    assert (kept_out.guard, kept_out.untracked, kept_out.gaps) == ("subjects", 2, [])
    assert registry.admit("two", {"a": 1, "b": 1}).version == 2
    assert (
        SchemaRegistry(versions, SchemaPolicy(guards=Guards(subjects=2)), clock)
        .admit("one", {"a": 1})
        .version
        == 1
    )
    clock.move(seconds=2)
    assert SchemaRegistry(versions, clock=clock).admit("three", {"a": 1}).version == 1


def test_a_subject_name_that_is_too_long_is_kept_out(
    watched: tuple[Versions, Commands],
) -> None:
    versions, commands = watched
    registry = SchemaRegistry(versions)

    admission = registry.admit("x" * 257, {"a": 1})

    assert (admission.version, admission.guard) == (0, "subject_name")
    assert commands.names == []


def test_subjects_and_fields_that_are_kept_out_do_not_cost_a_read_each(
    watched: tuple[Versions, Commands],
) -> None:
    versions, commands = watched
    clock = Clock()
    guards = Guards(subjects=1, paths_per_subject=2, path_bytes=50)
    registry = SchemaRegistry(versions, SchemaPolicy(guards=guards), clock)
    registry.admit("s", {"a": 1})
    registry.admit("s", {"k" * 60: 1})
    registry.admit("stranger", {})
    commands.names.clear()

    for n in range(50):
        registry.admit(f"stranger-{n}", {"a": n})
        assert registry.admit("s", {"k" * 60: n}).guard == "path_bytes"
    assert commands.names == []
    assert registry.admit("s", {"k" * 60: 1, "b": 1}).version == 2
    registry.admit("s", {"c": 1})
    commands.names.clear()
    for n in range(50):
        assert registry.admit("s", {f"c{n}": 1}).guard == "paths_per_subject"
    assert commands.names == []

    clock.move(seconds=2)
    registry.admit("s", {"c": 1})
    assert commands.names == ["find"]


def test_depth_is_told_as_a_guard(versions: Versions) -> None:
    registry = SchemaRegistry(versions, SchemaPolicy(guards=Guards(depth=2)))

    admission = registry.admit("s", {"a": {"b": {"c": {"d": 1}}}})

    assert (admission.version, admission.guard, admission.untracked) == (1, "depth", 1)


# -- faults --------------------------------------------------------------------------------------


def test_without_mongodb_a_payload_that_needs_it_is_answered_unavailable(
    versions: Versions,
) -> None:
    with MongoClient[Document](
        "mongodb://user:hidden@127.0.0.1:9/?serverSelectionTimeoutMS=200", connect=False
    ) as client:
        registry = SchemaRegistry(client["x"]["schema_versions"])

        with pytest.raises(StoreUnavailable) as caught:
            registry.admit("s", {"a": 1})

    assert "hidden" not in str(caught.value)
    assert "schema_versions" in str(caught.value)


class LossyCollection:
    """Loses the server's answers to inserts: `after` they happened, or `before`."""

    def __init__(self, collection: Versions, lost: list[str]) -> None:
        self._collection = collection
        self._lost = lost

    def with_options(self, **options: Any) -> LossyCollection:
        return LossyCollection(self._collection.with_options(**options), self._lost)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def insert_one(self, document: Document) -> None:
        how = self._lost.pop(0) if self._lost else "answered"
        if how != "before":
            self._collection.insert_one(document)
        if how != "answered":
            raise AutoReconnect("the connection was closed")


@pytest.mark.parametrize("lost", [["after"], ["before"], ["before", "after"], ["after", "after"]])
def test_an_insert_of_unknown_outcome_is_settled_by_comparing(
    versions: Versions, lost: list[str]
) -> None:
    lossy: Any = LossyCollection(versions, list(lost))
    registry = SchemaRegistry(lossy, sleep=lambda _: None)

    first = registry.admit("s", {"a": 1})
    second = registry.admit("s", {"b": 1})

    assert (first.version, second.version) == (1, 2)
    assert first.registered is not None
    assert second.registered is not None
    assert faults(versions, "s", [(1, {"a": 1}), (2, {"b": 1})]) == []


class UnconfirmedCollection(LossyCollection):
    """A primary that holds a number which no majority confirms."""

    def with_options(self, **options: Any) -> UnconfirmedCollection:
        return UnconfirmedCollection(self._collection.with_options(**options), [])

    def insert_one(self, document: Document) -> None:
        raise DuplicateKeyError("E11000")


def test_a_number_that_never_becomes_durable_ends_as_unavailable(versions: Versions) -> None:
    unconfirmed: Any = UnconfirmedCollection(versions, [])
    registry = SchemaRegistry(unconfirmed, sleep=lambda _: None)

    with pytest.raises(StoreUnavailable, match="majority"):
        registry.admit("s", {"a": 1})


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
