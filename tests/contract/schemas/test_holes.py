"""Numbers of versions that were lost are never used for something else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.errors import SetupError
from consumer.events.recent import as_sent
from consumer.mongodb.indexes import create_indexes
from consumer.schemas.check import compile_schema
from consumer.schemas.manual_changes import retire
from consumer.schemas.policy import Guards, SchemaPolicy, subject_policy
from consumer.schemas.registry.cache import Hole
from consumer.schemas.registry.document_stamps import (
    _NEWEST_FIRST,
    _NO_ARRAY,
    _NUMBER,
    DocumentStamps,
)
from consumer.schemas.registry.registry import SchemaRegistry
from tests.support.backfill import backfill, payload_part, read, store
from tests.support.jobs import Run
from tests.support.registry import Document, LossyCollection, Versions, stored

Db = Database[Document]
FAST = SchemaPolicy(guards=Guards(versions_per_hour=100_000))


def opened(database: Db, policy: SchemaPolicy = FAST) -> SchemaRegistry:
    """A process that begins now, and has looked."""
    stamps = DocumentStamps(database["events"])
    registry = SchemaRegistry(database["schema_versions"], policy, stamps=stamps)
    registry.look_for_holes()
    return registry


def restored(database: Db, left: int = 2, lost: int = 3) -> None:
    """A subject whose versions beyond `left` are gone, while all documents are there."""
    registry = opened(database)
    for n in range(left + lost):
        store(database, registry, f"e{n}", {"id": n, f"f{n}": n})
    backfill(database, registry)(Run())
    database["schema_versions"].delete_many({"_id.version": {"$gt": left}})


def test_without_a_hole_nothing_is_seen_and_nothing_renumbered(database: Db) -> None:
    registry = opened(database)
    store(database, registry, "e1", {"a": 1})
    registry.look_for_holes()

    assert registry.holes == {}
    assert registry.renumber("s") is None
    assert registry.renumber("unknown") is None
    assert len(stored(database["schema_versions"], "s")) == 1


def test_in_a_hole_new_fields_are_stored_unregistered_and_known_ones_as_ever(
    database: Db,
) -> None:
    restored(database)
    registry = opened(database)

    new = registry.admit("s", {"id": 1, "f0": 1, "new": 1})
    known = registry.admit("s", {"id": 1, "f0": 1})
    other = registry.admit("another", {"a": 1})

    assert registry.holes == {"s": Hole(2, 5)}
    assert (new.version, new.guard, new.untracked) == (2, "hole", 1)
    assert (known.version, known.guard) == (2, None)
    assert (other.version, other.guard) == (1, None)
    assert [v.number for v in stored(database["schema_versions"], "s")] == [1, 2]


def test_a_subject_whose_versions_are_all_lost_is_not_begun_anew(database: Db) -> None:
    restored(database, left=0, lost=2)
    registry = opened(database)

    admission = registry.admit("s", {"id": 1})

    assert registry.holes == {"s": Hole(0, 2)}
    assert (admission.version, admission.guard) == (0, "hole")
    made = registry.renumber("s")
    assert made is not None
    assert made.number == 3
    assert registry.admit("s", {"id": 1}).version == 4
    assert [v.number for v in stored(database["schema_versions"], "s")] == [1, 2, 3, 4]


def test_people_add_nothing_to_a_schema_with_a_hole(database: Db) -> None:
    restored(database)
    # Nobody has looked in this process.
    stamps = DocumentStamps(database["events"])
    registry = SchemaRegistry(database["schema_versions"], FAST, stamps=stamps)

    draft = registry.draft("s", by_hand=True)
    assert draft.approve({"new": 1}).guard == "hole"
    assert not draft.is_new
    with pytest.raises(SetupError, match="schema renumber s"):
        registry.change("s", lambda head, now: retire(head, ("f0",), now))
    assert len(stored(database["schema_versions"], "s")) == 2


def test_renumbering_goes_on_behind_the_highest_number_seen_without_gaps(database: Db) -> None:
    restored(database)
    waiting, registry = opened(database), opened(database)
    assert waiting.admit("s", {"new": 1}).guard == "hole"

    made = registry.renumber("s")

    assert made is not None
    assert made.number == 6
    history = stored(database["schema_versions"], "s")
    assert [version.number for version in history] == [1, 2, 3, 4, 5, 6]
    assert all(version.live == history[1].live for version in history[2:])
    assert registry.admit("s", {"id": 1, "new": 1}).version == 7
    # A process that saw the hole goes on as soon as it hears of it.
    waiting.refresh()
    assert waiting.holes == {}
    assert waiting.admit("s", {"id": 1, "other": 1}).version == 8
    assert registry.renumber("s") is None


def test_positions_of_lost_fields_are_never_given_to_others(database: Db) -> None:
    restored(database)
    registry = opened(database)
    before = read(database)
    registry.renumber("s")
    store(database, registry, "new", {"id": 9, "new": 1, "f3": 9})
    backfill(database, registry)(Run())
    head = registry.refreshed("s")
    assert head is not None

    after = read(database)
    # e3 was filled at positions of versions that are lost, and sent what is known again.
    assert max(before["e4"]["_meta"]["filled"]) < [f.path for f in head.fields].index(("new",))
    assert after["e3"]["f3"] == 3
    assert as_sent(after["e3"], head, registry.compiled("s").defaults)["f3"] == 3
    assert as_sent(after["new"], head, registry.compiled("s").defaults) == {
        "id": 9, "new": 1, "f3": 9,
    }  # fmt: skip
    registry.change("s", lambda head, now: retire(head, ("f3",), now))
    database["events"].update_one({"_id": "e3"}, {"$set": {"f3": None}})
    backfill(database, registry)(Run())
    # Whether it was sent nobody can tell: it stays.
    assert read(database)["e3"]["f3"] is None
    assert all("new" in payload_part(document) for document in read(database).values())


@pytest.mark.parametrize("lost", [["after"], ["before"], ["before", "after", "after"]])
def test_a_renumbering_whose_answers_are_lost_ends_alike(database: Db, lost: list[str]) -> None:
    restored(database)
    lossy: Any = LossyCollection(database["schema_versions"], list(lost))
    stamps = DocumentStamps(database["events"])
    registry = SchemaRegistry(lossy, FAST, sleep=lambda _: None, stamps=stamps)

    made = registry.renumber("s")

    assert made is not None
    assert made.number == 6
    assert [v.number for v in stored(database["schema_versions"], "s")] == [1, 2, 3, 4, 5, 6]


def test_writers_that_know_of_no_hole_neither_fork_nor_lose_a_field_while_it_is_closed(
    database: Db,
) -> None:
    restored(database, left=1, lost=12)
    versions: Versions = database["schema_versions"]
    begin = threading.Barrier(10)

    def work(worker: int) -> list[tuple[int, Document]]:
        registry = SchemaRegistry(versions, FAST)
        begin.wait()
        events = [{"id": 1, f"w{worker}_{turn}": 1} for turn in range(6)]
        return [(registry.admit("s", each).version, each) for each in events]

    def close() -> int:
        registry = opened(database)
        begin.wait()
        made = registry.renumber("s")
        return made.number if made else 0

    with ThreadPoolExecutor(10) as pool:
        closing = [pool.submit(close) for _ in range(2)]
        admitted = [pair for pairs in pool.map(work, range(8)) for pair in pairs]
        assert all(each.result() in (0, *range(14, 100)) for each in closing)

    history = stored(versions, "s")
    assert [version.number for version in history] == list(range(1, len(history) + 1))
    assert len(history) >= 14
    compiled = {version.number: compile_schema(version) for version in history}
    assert not any(compiled[number].check(payload).unknown for number, payload in admitted)
    head = compile_schema(history[-1])
    assert not any(head.check(payload).unknown for _, payload in admitted)


def test_a_number_that_no_schema_ever_had_is_not_reached_by_copies(database: Db) -> None:
    registry = opened(database)
    store(database, registry, "e1", {"a": 1})
    database["events"].update_one({"_id": "e1"}, {"$set": {"_meta.backfilled_to": 2_000_000}})

    with pytest.raises(SetupError, match="2000000"):
        registry.renumber("s")

    assert len(stored(database["schema_versions"], "s")) == 1


def test_what_strangers_wrote_for_a_stamp_is_no_number(database: Db) -> None:
    registry = opened(database)
    store(database, registry, "e1", {"a": 1})
    for n, odd in enumerate(["9", 2**40, -1, True, [9], {"a": 1}, None, 3.5e300]):
        meta = {"subject": "s", "backfilled_to": odd}
        database["events"].insert_one({"_id": n, "_meta": meta})
    database["events"].insert_one({"_id": "list", "_meta": {"subject": ["s"], "backfilled_to": 9}})
    registry.look_for_holes()

    assert registry.admit("s", {"b": 1}).version == 2


def test_a_contract_that_holds_does_not_hold_what_nobody_can_register(database: Db) -> None:
    restored(database)
    registry = opened(database, SchemaPolicy(subject_policy(on_new_field="hold")))

    assert registry.admit("s", {"id": 1, "new": 1}).guard == "hole"


def test_the_highest_stamp_of_a_subject_is_one_look_at_an_index(database: Db) -> None:
    create_indexes(database)
    wanted = {"_meta.subject": {"$eq": "s", **_NO_ARRAY}, "_meta.backfilled_to": _NUMBER}

    plan = str(database["events"].find(wanted).sort(_NEWEST_FIRST).explain()["queryPlanner"])

    assert "IXSCAN" in plan
    assert "'stage': 'SORT'" not in plan


def test_a_process_that_ran_while_the_backup_was_restored_finds_the_hole_too(database: Db) -> None:
    running = opened(database)
    for n in range(5):
        store(database, running, f"e{n}", {"id": n, f"f{n}": n})
    database["schema_versions"].delete_many({"_id.version": {"$gt": 2}})

    running.look_for_holes()

    assert running.holes == {"s": Hole(2, 5)}
    assert running.admit("s", {"id": 1, "new": 1}).guard == "hole"
    assert running.admit("s", {"id": 1, "f4": 1}).version == 5
    opened(database).renumber("s")
    running.refresh()
    assert running.holes == {}
    assert running.admit("s", {"id": 1, "new": 1}).version == 7
    assert [v.number for v in stored(database["schema_versions"], "s")] == list(range(1, 8))
