"""An approval that was cut off, overtaken or made twice does no harm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo.database import Database

from consumer.core.errors import SchemaMoved
from consumer.core.paths import from_text
from tests.support.dead_letters import Build, Document, House, S, statuses, versions


def test_a_moved_head_is_told_and_nothing_is_registered(
    house: House, build: Build, database: Database[Document]
) -> None:
    plan = house.approval.plan(S)
    other = build()
    other.approve(paths=("a",))

    with pytest.raises(SchemaMoved, match=f'"{S}" is at version 2, you approved 1: reload'):
        house.approval.register(plan)

    assert versions(database) == [1, 2]


def test_an_approval_that_ended_before_its_replay_is_finished_by_the_next(
    house: House, build: Build, database: Database[Document]
) -> None:
    house.approval.register(house.approval.plan(S))
    after_restart = build()

    plan, resolved = after_restart.approve()

    assert (plan.draft.is_new, plan.replays, resolved) == (False, 3, [True] * 3)
    assert versions(database) == [1, 2]


def test_an_event_that_was_stored_before_its_entry_was_resolved_is_not_stored_twice(
    house: House, database: Database[Document]
) -> None:
    house.approve()
    database["dead_letter_queue"].update_one({"event_id": "one"}, {"$set": {"status": "held"}})

    plan, resolved = house.approve()

    assert (plan.replays, resolved) == (1, [True])
    assert database["events"].count_documents({}) == 4
    entry = database["dead_letter_queue"].find_one({"event_id": "one"}) or {}
    assert entry["history"][-1]["result"] == "duplicate"


def test_what_was_held_after_the_plan_is_let_in_too_if_it_brings_nothing_more(
    house: House, database: Database[Document]
) -> None:
    plan = house.approval.plan(S, [from_text("a")])
    house.deliver("late", a="x")
    house.deliver("later", a="x", unseen=1)

    house.approval.register(plan)
    done = list(house.approval.replay(plan, "test"))

    assert len(done) == 2
    assert statuses(database) == {
        "one": "held", "two": "resolved", "three": "held", "late": "resolved", "later": "held",
    }  # fmt: skip
    waiting = database["dead_letter_queue"].find_one({"event_id": "later"}) or {}
    assert waiting["history"] == []


def test_two_approvals_at_once_do_no_harm(
    house: House, build: Build, database: Database[Document]
) -> None:
    for n in range(20):
        house.deliver(f"more-{n}", a="x")
    houses = [house, build(), build()]

    def approve(one: House) -> str:
        try:
            one.approve()
        except SchemaMoved:
            return "moved"
        return "done"

    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(approve, houses))

    assert "done" in ends
    assert versions(database) == [1, 2]
    assert set(statuses(database).values()) == {"resolved"}
    assert database["events"].count_documents({}) == 24


def test_an_entry_that_a_killed_process_was_trying_is_waited_for(
    house: House, database: Database[Document]
) -> None:
    claims = house.shared.dead_letters.claims
    for entry in database["dead_letter_queue"].find({"event_id": {"$in": ["one", "two"]}}):
        assert claims.claim(entry["_id"], "killed", ["held"])

    _, resolved = house.approve()

    assert (resolved, house.pauses) == ([True] * 3, 1)
    assert set(statuses(database).values()) == {"resolved"}


def test_an_entry_that_another_process_keeps_trying_is_told(
    house: House, database: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = database["dead_letter_queue"].find_one({"event_id": "one"}) or {}
    house.shared.dead_letters.claims.claim(entry["_id"], "other", ["held"])
    pauses: list[float] = []
    monkeypatch.setattr(house.approval, "_pause", pauses.append)

    _, resolved = house.approve()

    assert sorted(resolved) == [False, True, True]
    assert 60 < sum(pauses) < 70
