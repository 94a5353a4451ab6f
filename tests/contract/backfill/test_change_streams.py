"""A watcher of `events` can leave out what the backfill does, as .github/OPERATIONS.md says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pymongo.database import Database

from tests.support.backfill import backfill, registry, store
from tests.support.jobs import Run
from tests.support.places import ROOT

Db = Database[dict[str, Any]]
PAGE = ROOT / ".github" / "OPERATIONS.md"


@pytest.mark.parametrize("whole", [False, True], ids=["by an update", "in this process"])
def test_the_filter_that_is_documented_shows_events_and_changes_by_hand_and_no_backfill(
    database: Db, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if whole:
        monkeypatch.setattr("jobs.backfill.store.MAX_NESTING", 0)
        monkeypatch.setattr("jobs.backfill.updates.MAX_NESTING", 0)
    lines = PAGE.read_text("utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith('`[{"$match"')]
    pipeline = json.loads(line.strip("`."))
    schemas = registry(database)
    store(database, schemas, "first", {"a": 1})
    events = database["events"]

    with events.watch() as everything, events.watch(pipeline) as filtered:
        store(database, schemas, "plain", {"a": 1, "n": {"x": 1}})
        store(database, schemas, "odd", {"a": 1, "n": None})
        store(database, schemas, "newer", {"b": 1, "n": {"y": 1}})
        assert backfill(database, schemas)(Run())["documents"] == 3
        events.update_one({"_id": "odd"}, {"$set": {"a": 2, "_meta.mine": 1}})
        events.delete_one({"_id": "newer"})
        seen: list[tuple[str, str]] = []
        left: list[tuple[str, str]] = []
        while not seen or seen[-1][1] != "delete":
            change = everything.next()
            seen.append((change["documentKey"]["_id"], change["operationType"]))
        while not left or left[-1][1] != "delete":
            change = filtered.next()
            left.append((change["documentKey"]["_id"], change["operationType"]))

    assert len(seen) == len(left) + 3
    assert left == [
        *((name, "insert") for name in ("plain", "odd", "newer")),
        ("odd", "update"),
        ("newer", "delete"),
    ]
