"""Decisions of people are registered whoever registers at the same time, and whatever is lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from consumer.core.errors import SetupError
from consumer.core.paths import from_text, to_text
from consumer.schemas.check import compile_schema
from consumer.schemas.manual_changes import alias, alias_value, erase_names, retire, unalias, unmap
from consumer.schemas.model import is_by_hand
from consumer.schemas.policy import Guards, SchemaPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.subject import Make
from tests.support.registry import Clock, Document, LossyCollection, Versions, event, stored

NO_RATE = SchemaPolicy(guards=Guards(versions_per_hour=100_000))
SUBJECT = "contact.created"
FIRST = {"a": {"x": 1}, "m": {"6f1b9a2e-0d0c-4f57-9a0c-0242ac120002": 1}, "p": {"user5": 1}}


def retiring(text: str) -> Make:
    return lambda head, now: retire(head, from_text(text), now)


def unmapping(text: str) -> Make:
    return lambda head, now: unmap(head, from_text(text), now)


def erasing(name: str) -> Make:
    return lambda head, now: erase_names(head, lambda key: key == name, now)


def aliasing(old: str, new: str) -> Make:
    return lambda head, now: alias(head, from_text(old), from_text(new), now)


DECISIONS: dict[str, tuple[Make, str]] = {
    "retire": (retiring("a.x"), "field_retired"),
    "unmap": (unmapping("m"), "map_undone"),
    "erase": (erasing("user5"), "name_erased"),
    "alias": (aliasing("a.x", "b.x"), "alias_added"),
    "value": (lambda head, now: alias_value(head, ("a", "x"), "2", now), "alias_added"),
}
each_decision = pytest.mark.parametrize("what", DECISIONS)


def marks(version: Any) -> tuple[list[str], list[str], int, Any]:
    return (
        [to_text(f.path) for f in version.fields if f.retired],
        [to_text(f.path) for f in version.fields if f.pinned],
        sum(f.erased is not None for f in version.fields),
        version.aliases,
    )


@each_decision
@pytest.mark.parametrize("processes", [1, 8])
def test_a_decision_beside_8_threads_that_register_is_neither_lost_nor_forks(
    versions: Versions, what: str, processes: int
) -> None:
    make, kind = DECISIONS[what]
    racing = [SchemaRegistry(versions, NO_RATE) for _ in range(processes)]
    racing[0].admit(SUBJECT, FIRST)
    begin = threading.Barrier(9)

    def work(worker: int) -> list[tuple[int, Document]]:
        rng, registry = random.Random(worker), racing[worker % processes]
        begin.wait()
        events = [event(worker, turn, rng) for turn in range(15)]
        return [(registry.admit(SUBJECT, each).version, each) for each in events]

    def decide() -> tuple[Any, bool]:
        begin.wait()
        return SchemaRegistry(versions, NO_RATE).change(SUBJECT, make)

    with ThreadPoolExecutor(9) as pool:
        decision = pool.submit(decide)
        admitted = [pair for pairs in pool.map(work, range(8)) for pair in pairs]
    made, ours = decision.result()

    history = stored(versions, SUBJECT)
    assert [version.number for version in history] == list(range(1, len(history) + 1))
    assert ours
    # Once, in the version that was said, and in all that follow.
    assert [v.number for v in history if kind in {c.kind for c in v.changes}] == [made.number]
    assert history[made.number - 1] == made
    for older, newer in pairwise(history):
        known = len(older.fields)
        paths = [f.path for f in newer.fields][:known]
        if newer != made or what != "erase":
            assert paths == [f.path for f in older.fields]
        assert [f.since for f in newer.fields][:known] == [f.since for f in older.fields]
    assert all(marks(version) == marks(made) for version in history[made.number :])
    by_number = {version.number: version for version in history}
    assert not any(compile_schema(by_number[n]).check(p).unknown for n, p in admitted)


@each_decision
@pytest.mark.parametrize("lost", [["after"], ["before"], ["before", "after"], ["after", "after"]])
def test_a_decision_whose_answer_was_lost_is_settled_by_the_recorded_change(
    versions: Versions, what: str, lost: list[str]
) -> None:
    make, kind = DECISIONS[what]
    SchemaRegistry(versions).admit(SUBJECT, FIRST)
    lossy: Any = LossyCollection(versions, list(lost))

    made, ours = SchemaRegistry(lossy, sleep=lambda _: None).change(SUBJECT, make)

    assert ours
    assert [v.number for v in stored(versions, SUBJECT)] == [1, 2]
    assert stored(versions, SUBJECT)[1] == made
    assert [change.kind for change in made.changes if change.kind == kind]


class Overtaken(LossyCollection):
    """Loses the answer to the first insert, after which another process registers at once."""

    def __init__(self, collection: Versions, then: Callable[[], object], happened: bool) -> None:
        super().__init__(collection, ["after" if happened else "before"])
        self.then = then

    def with_options(self, **options: Any) -> Overtaken:
        made = Overtaken(self._collection.with_options(**options), self.then, True)
        made._lost = self._lost
        return made

    def insert_one(self, document: Document) -> None:
        lost = bool(self._lost)
        try:
            super().insert_one(document)
        finally:
            if lost:
                self.then()


@each_decision
@pytest.mark.parametrize("happened", [True, False])
def test_a_decision_of_unknown_outcome_on_which_others_built_is_known_by_its_own_version(
    versions: Versions, what: str, happened: bool
) -> None:
    other = SchemaRegistry(versions)
    other.admit(SUBJECT, FIRST)
    overtaken: Any = Overtaken(versions, lambda: other.admit(SUBJECT, {"new": 1}), happened)

    made, ours = SchemaRegistry(overtaken, sleep=lambda _: None).change(SUBJECT, DECISIONS[what][0])

    assert ours
    history = stored(versions, SUBJECT)
    assert [version.number for version in history] == [1, 2, 3]
    assert made == history[1 if happened else 2]
    assert ("new",) in {field.path for field in history[-1].live}
    assert marks(history[-1]) == marks(made)


def test_what_others_decided_first_is_not_decided_again(versions: Versions) -> None:
    SchemaRegistry(versions).admit(SUBJECT, FIRST)
    first, ours = SchemaRegistry(versions).change(SUBJECT, retiring("a"))

    again = SchemaRegistry(versions).change(SUBJECT, retiring("a"))

    assert ours
    assert again == (first, False)
    assert len(stored(versions, SUBJECT)) == 2


def test_a_decision_on_a_subject_or_path_that_is_not_known_makes_no_version(
    versions: Versions,
) -> None:
    registry = SchemaRegistry(versions)
    registry.admit(SUBJECT, FIRST)

    for subject, make in (("unknown", retiring("a")), (SUBJECT, retiring("nothing"))):
        with pytest.raises(SetupError):
            registry.change(subject, make)
    assert versions.count_documents({}) == 1


def test_versions_of_people_do_not_count_against_those_an_hour(versions: Versions) -> None:
    clock = Clock()
    policy = SchemaPolicy(guards=Guards(versions_per_hour=4))
    registry = SchemaRegistry(versions, policy, clock)
    registry.admit(SUBJECT, {f"f{n}": 1 for n in range(10)})
    for n in range(10):
        registry.change(SUBJECT, retiring(f"f{n}"))

    guards = []
    for n in range(5):
        guards.append(registry.admit(SUBJECT, {f"new{n}": 1}).guard)
        clock.move(seconds=2)

    # One of the four was the first version.
    assert guards == [None, None, None, "versions_per_hour", "versions_per_hour"]
    assert sum(not is_by_hand(version.changes) for version in stored(versions, SUBJECT)) == 4
    assert registry.change(SUBJECT, retiring("new0"))[1]


def test_a_stale_process_learns_of_an_undone_map_before_it_registers(versions: Versions) -> None:
    stale = SchemaRegistry(versions)
    stale.admit(SUBJECT, FIRST)
    SchemaRegistry(versions).change(SUBJECT, unmapping("m"))

    stale.admit(SUBJECT, {"m": {"6f1b9a2e-0d0c-4f57-9a0c-0242ac120003": "text"}})

    live = [to_text(f.path) for f in stored(versions, SUBJECT)[-1].live]
    assert [path for path in live if path.startswith("m.")] == [
        "m.6f1b9a2e-0d0c-4f57-9a0c-0242ac120003"
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (aliasing("a.x", "b"), aliasing("a.x", "c")),
        (aliasing("a.x", "b"), aliasing("a", "c")),
        (aliasing("a.x", "p"), aliasing("p", "c")),
        (aliasing("a.x", "p"), aliasing("p", "a.x")),
        (retiring("a.x"), aliasing("a.x", "b")),
        (aliasing("a.x", "b"), retiring("a")),
    ],
)
def test_a_decision_that_lost_its_race_is_checked_again_on_the_head(
    versions: Versions, first: Make, second: Make
) -> None:
    other = SchemaRegistry(versions)
    other.admit(SUBJECT, FIRST)
    overtaken: Any = Overtaken(versions, lambda: other.change(SUBJECT, first), False)

    with pytest.raises(SetupError):
        SchemaRegistry(overtaken, sleep=lambda _: None).change(SUBJECT, second)
    assert len(stored(versions, SUBJECT)) == 2


def test_aliases_of_subjects_that_a_process_never_saw_are_known_to_it(versions: Versions) -> None:
    clock = Clock()
    there, here = SchemaRegistry(versions), SchemaRegistry(versions, clock=clock)
    there.admit(SUBJECT, FIRST)
    there.admit("other", FIRST)
    assert here.aliased(None) == frozenset()
    there.change(SUBJECT, aliasing("a.x", "b.x"))
    there.change("other", aliasing("a", "c"))
    there.change("other", lambda head, now: unalias(head, ("a",), now))

    here.refresh_aliases()

    first, ended = (("a", "x"), ("b", "x")), (("a",), ("c",))
    assert here.aliased(SUBJECT) == {first}
    assert here.aliased("other") == {ended}
    assert here.aliased(None) == {first, ended}
    assert here.aliased("unknown") == frozenset()
    # One that is known here follows whenever its head does.
    here.head(SUBJECT)
    there.change(SUBJECT, aliasing("m", "n"))
    here.refresh()
    assert len(here.aliased(SUBJECT)) == 2
