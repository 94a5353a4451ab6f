"""An approval registers what was held, and lets in what waited for it."""

from __future__ import annotations

from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.paths import from_text, to_text
from consumer.dead_letters.search import HeldDeadLetters
from consumer.mongodb.indexes import create_indexes
from tests.support.dead_letters import Build, Document, Finds, House, S, statuses, versions


def test_a_plan_shows_the_changes_with_their_causes_and_does_nothing(
    house: House, database: Database[Document]
) -> None:
    plan = house.approval.plan(S)

    shown = [(c.kind, to_text(c.path), c.caused_by) for c in plan.draft.changes]
    assert shown == [
        ("field_added", "agent", "one"),
        ("field_added", "agent.name", "one"),
        ("type_conflict", "a", "two"),
        ("field_added", "agent.team", "three"),
    ]
    assert (plan.draft.at, plan.replays, plan.left) == (1, 3, 0)
    assert {to_text(path): count for path, count in plan.held.items()} == {
        "agent": 2, "agent.name": 2, "a": 2, "agent.team": 1,
    }  # fmt: skip
    assert versions(database) == [1]
    assert set(statuses(database).values()) == {"held"}


def test_a_plan_keeps_the_order_of_arrival_though_a_sweep_marks_entries(
    house: House, database: Database[Document]
) -> None:
    marked = database["dead_letter_queue"].update_one(
        {"event_id": "one"}, {"$set": {"tried_with": "seen by a sweep"}}
    )

    plan = house.approval.plan(S)

    assert marked.modified_count == 1
    assert plan.draft.changes[0].caused_by == "one"


def test_an_approval_registers_one_version_and_resolves_the_entries_with_their_events(
    house: House, database: Database[Document]
) -> None:
    _, resolved = house.approve()

    assert resolved == [True] * 3
    assert versions(database) == [1, 2]
    events = {e["id"]: e for e in database["events"].find()}
    assert {e["schema_version"] for e in events.values()} == {1, 2}
    entries = list(database["dead_letter_queue"].find())
    assert {e["event_id"]: e["resolved_by"] for e in entries} == {
        name: events[name]["_id"] for name in ("one", "two", "three")
    }
    assert [e["history"][-1]["result"] for e in entries] == ["processed"] * 3


def test_approving_twice_does_nothing_twice(house: House, database: Database[Document]) -> None:
    house.approve()
    before = [list(database[name].find()) for name in ("events", "schema_versions")]

    plan, resolved = house.approve()

    assert plan.is_empty
    assert resolved == []
    assert [list(database[name].find()) for name in ("events", "schema_versions")] == before
    assert house.deliver("four", a="more", agent={"team": 2}) == "processed"


def test_with_paths_only_deliveries_whose_held_changes_are_all_approved_are_replayed(
    house: House, database: Database[Document]
) -> None:
    plan, resolved = house.approve(paths=("agent",))

    assert (plan.replays, plan.left, resolved) == (1, 2, [True])
    assert [stay.text(tuple) for stay in plan.stays] == ["a is not among the approved paths"] * 2
    assert statuses(database) == {"one": "resolved", "two": "held", "three": "held"}
    plan, _ = house.approve(paths=("a", "agent.team"))
    assert plan.left == 0
    assert set(statuses(database).values()) == {"resolved"}


def test_a_path_below_the_held_one_approves_nothing(house: House) -> None:
    plan = house.approval.plan(S, [from_text("agent.name")])

    assert (plan.is_empty, plan.left) == (True, 3)


def test_deliveries_of_other_types_are_left_alone(
    house: House, database: Database[Document]
) -> None:
    house.deliver("o1", "other", a=1)
    house.deliver("o2", "other", b=1)

    house.approve()

    assert statuses(database)["o2"] == "held"
    assert house.approval.plan("other").replays == 1


def test_where_all_types_share_one_schema_it_is_that_which_is_approved(
    build: Build, database: Database[Document]
) -> None:
    house = build(CXONE_SCHEMA_SCOPE="collection")
    house.deliver("1", "one", a=1)
    house.deliver("2", "two", b=1)

    assert house.approval.plan("two").is_empty
    assert house.approve("events")[1] == [True]


def test_what_the_guards_leave_no_room_for_stays_held(
    build: Build, database: Database[Document]
) -> None:
    house = build(CXONE_SCHEMA_MAX_PATHS="5")
    house.deliver("0", a=1)
    house.deliver("1", b=1)
    house.deliver("2", a=1, c=1, d=1)

    plan, resolved = house.approve()

    assert [stay.because for stay in plan.stays] == [
        "the guard paths_per_subject leaves no room for it"
    ]
    assert [to_text(change.path) for change in plan.draft.changes] == ["b"]
    assert resolved == [True]
    assert statuses(database) == {"1": "resolved", "2": "held"}


def test_an_entry_that_is_read_differently_now_stays(
    house: House, build: Build, database: Database[Document]
) -> None:
    after_restart = build(CXONE_TYPE_FIELD="kind")

    plan = after_restart.approval.plan(S)

    assert (plan.is_empty, plan.left) == (True, 3)
    assert "kind" in plan.stays[0].text(tuple)


def test_a_delivery_that_was_corrected_and_is_held_now_is_approved_as_corrected(
    house: House, database: Database[Document]
) -> None:
    # Kept without a type, as refusals are; the secret was put right and the body repaired.
    broken = b'{"id": "late", "type": "contact.created", "unseen": 1,}'
    first = dict(database["dead_letter_queue"].find_one({"event_id": "one"}) or {})
    corrected: Document = {"event_type": None, "reason": "signature_invalid", "event_id": "late"}
    for _id, body, payload in (
        ("f" * 24, broken, broken.replace(b",}", b"}")),
        ("e" * 24, broken, broken.replace(b",}", b"}").replace(b"contact.created", b"other")),
    ):
        database["dead_letter_queue"].insert_one(
            {**first, **corrected, "_id": _id, "original_payload": body, "edited_payload": payload}
        )

    plan, resolved = house.approve(paths=("unseen",))

    assert [to_text(change.path) for change in plan.draft.changes] == ["unseen"]
    assert (plan.entries, plan.left, resolved) == (("f" * 24,), 3, [True])
    stored = database["events"].find_one({"id": "late"}) or {}
    assert (stored["unseen"], stored["type"]) == (1, S)


def test_held_letters_are_found_by_their_index_in_its_order(
    house: House, database: Database[Document], mongod_uri: str
) -> None:
    create_indexes(database)
    finds = Finds()
    with MongoClient[Document](mongod_uri, event_listeners=[finds], tz_aware=True) as client:
        letters = HeldDeadLetters(client[database.name]["dead_letter_queue"])
        assert [entry["event_id"] for entry in letters.of(S)] == ["one", "two", "three"]

    keep = ("find", "filter", "sort", "projection")
    command = {name: value for name, value in finds.sent[0].items() if name in keep}
    explained = database.command("explain", command, verbosity="queryPlanner")
    plan = str(explained["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in plan
    assert "COLLSCAN" not in plan
    assert "'stage': 'SORT'" not in plan
