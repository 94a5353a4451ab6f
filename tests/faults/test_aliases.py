"""Aliases set from several processes that are killed with -9, and their backfill that is too."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import combinations, pairwise
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.paths import Path
from consumer.mongodb.indexes import create_indexes
from consumer.schemas.manual_changes import alias
from consumer.schemas.model import SchemaVersion
from tests.faults.test_backfill import behind, insert, kill_in_the_middle, rewritten, worker
from tests.support.backfill import laid_out, registry
from tests.support.registry import stored

Db = Database[dict[str, Any]]


@pytest.mark.slow
def test_a_backfill_of_an_alias_that_is_killed_again_and_again_fills_every_document_once(
    database: Db, mongod_uri: str, mongo_client: MongoClient[dict[str, Any]]
) -> None:
    create_indexes(database)
    schemas, documents = registry(database), 3_000
    schemas.admit("s", {"a": 1, "n": {"old": 1}})
    template = laid_out(schemas, "first", {"a": 1})
    assert template["n"] is None
    insert(database, template, documents)
    schemas.change("s", lambda head, now: alias(head, ("n", "old"), ("a",), now))
    left = []

    for kill in range(1, 4):
        workers = [worker(mongod_uri, database) for _ in range(2)]
        kill_in_the_middle(workers, database, documents - kill * documents // 5)
        left.append(behind(database))
    assert all(left)
    assert worker(mongod_uri, database).wait(timeout=600) == 0

    found = list(database["events"].find())
    assert sorted(each["a"] for each in found) == list(range(documents))
    assert all(each["n"] == {"old": each["a"]} for each in found)
    assert all(each["_meta"]["filled"] == [1, 2] for each in found)
    assert not any("aliased" in each["_meta"] for each in found)
    times = rewritten(mongo_client, database)
    assert (len(times), set(times.values())) == (documents, {1})


def overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def is_sound(version: SchemaVersion) -> bool:
    """True where no alias in force meets another one."""
    in_force = [each for each in version.aliases if each.until is None]
    olds = [each.old for each in in_force]
    news = [each.new for each in in_force if each.new is not None]
    apart = all(
        not overlap(one.old, other.old)
        or (one.old == other.old and (one.new is None) != (other.new is None))
        for one, other in combinations(in_force, 2)
    )
    return apart and not any(overlap(old, new) for old in olds for new in news)


@pytest.mark.slow
def test_aliases_from_three_processes_that_are_killed_leave_no_gap_no_fork_and_no_circle(
    database: Db, mongod_uri: str
) -> None:
    registry(database).admit("s", {"a": 1, "b": 1, "c": 1, "d": 1, "n": {"x": 1, "y": 1}})
    rounds: list[int] = []

    for number in range(3):
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.faults.alias_worker", mongod_uri, database.name, name]
            )
            for name in ("p", "q", "r")
        ]
        ends = time.monotonic() + 60
        wanted = (number + 1) * 40
        while database["schema_versions"].count_documents({}) < wanted:
            assert time.monotonic() < ends, "they do not go on"
            time.sleep(0.005)
        for process in workers:
            process.kill()
            process.wait()
        rounds.append(database["schema_versions"].count_documents({}))

    history = stored(database["schema_versions"], "s")
    assert [version.number for version in history] == list(range(1, len(history) + 1))
    assert all(map(is_sound, history))
    for older, newer in pairwise(history):
        # What was is kept, but that an end may come to it.
        kept = newer.aliases[: len(older.aliases)]
        assert [(a.old, a.new, a.since) for a in kept] == [
            (a.old, a.new, a.since) for a in older.aliases
        ]
        assert newer.fields[: len(older.fields)] == older.fields
        kinds = {change.kind for change in newer.changes}
        added = newer.aliases[len(older.aliases) :]
        ended = [a for a, b in zip(kept, older.aliases, strict=True) if a.until != b.until]
        assert ("alias_added" in kinds) == (len(added) == 1)
        assert ("alias_removed" in kinds) == bool(ended)
        assert all(each.since == newer.number for each in added)
        assert all(each.until == newer.number for each in ended)
    assert {change.kind for version in history for change in version.changes} == {
        "field_added", "alias_added", "alias_removed",
    }  # fmt: skip
