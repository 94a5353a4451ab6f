"""The backfill on a real mongod: what it makes of documents, and what it leaves alone."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from consumer.clock import utc_now
from consumer.errors import SetupError
from consumer.schema.newer import newer_than
from consumer.schema.policy import SchemaPolicy, subject_policy
from consumer.storage import mongo
from consumer.storage.backfill_store import BackfillStore, upgrade
from consumer.storage.fill_pipeline import fill_pipeline
from consumer.storage.migration_failures import AGAIN_AFTER
from consumer.storage.whole_documents import fill_whole
from jobs.backfill import BackfillRules
from jobs.backfill_pace import Pace, PaceRules
from tests.backfill import (
    AT_ONCE,
    LONG_AGO,
    Run,
    backfill,
    laid_out,
    payload_part,
    read,
    registry,
    store,
)

Document = dict[str, Any]
Db = Database[Document]


def test_older_documents_get_what_they_lack_and_newer_ones_stay(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "n": {"x": 1}})
    store(database, schemas, "2", {"a": 1, "n": {"x": 1, "y": 2}, "b": "x"})
    before = read(database)

    result = backfill(database, schemas)(Run())

    after = read(database)
    assert after["2"] == before["2"]
    assert payload_part(after["1"]) == {"a": 1, "n": {"x": 1, "y": None}, "b": None}
    assert list(after["1"]["n"]) == ["x", "y"]
    assert after["1"]["schema_version"] == 1
    assert after["1"]["_meta"] == {**before["1"]["_meta"], "backfilled_to": 2}
    assert (result["documents"], result["failed"], result["remaining"]) == (1, 0, 0)


def test_a_second_run_finds_nothing(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    job = backfill(database, schemas)
    job(Run())
    before = read(database)

    assert job.behind() == []
    assert job(Run())["documents"] == 0
    assert read(database) == before


def test_documents_that_a_stale_process_stamps_later_are_found(database: Db) -> None:
    schemas, stale = registry(database), registry(database)
    store(database, stale, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    job = backfill(database, schemas)
    job(Run())
    store(database, stale, "late", {"a": 2})
    assert read(database)["late"]["_meta"]["backfilled_to"] == 1

    job(Run())

    assert payload_part(read(database)["late"]) == {"a": 2, "b": None}


def test_versions_that_add_nothing_fillable_rewrite_nothing(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "list": [{"x": 1}]})
    store(database, schemas, "2", {"a": "now text", "list": [{"x": 1, "y": 2}]})
    before = read(database)

    result = backfill(database, schemas)(Run())

    assert schemas.subjects() == {"s": 2}
    assert result["documents"] == 0
    assert read(database) == before


def test_documents_of_other_subjects_and_strangers_are_left_alone(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1}, "other")
    store(database, schemas, "2", {"b": 1})
    store(database, schemas, "3", {"c": 1})
    database["events"].insert_one({"_id": "stranger", "a": 1})
    before = read(database)

    backfill(database, schemas)(Run())

    after = read(database)
    assert payload_part(after["2"]) == {"b": 1, "c": None}
    assert {key: after[key] for key in ("1", "3", "stranger")} == {
        key: before[key] for key in ("1", "3", "stranger")
    }


def test_a_subject_that_changed_just_now_waits_for_quiet(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    rules = BackfillRules(quiet=60, pace=AT_ONCE.pace)

    soon = backfill(database, schemas, rules)(Run())
    later = backfill(database, schemas, rules, lambda: utc_now() + timedelta(seconds=61))(Run())

    assert (soon["documents"], soon["remaining"]) == (0, 1)
    assert (later["documents"], later["remaining"]) == (1, 0)


def test_one_that_is_stopped_goes_on_where_it_ended(database: Db) -> None:
    schemas = registry(database)
    for number in range(25):
        store(database, schemas, str(number), {"a": number})
    store(database, schemas, "new", {"b": 1})
    job = backfill(database, schemas, BackfillRules(0, PaceRules(batch=4, throttle=True)))
    run = Run(stop_after=3)

    first = job(run)
    second = job(Run())

    assert 0 < first["documents"] < 25
    assert run.facts["remaining"] == first["remaining"] == 25 - first["documents"]
    assert run.facts["rate"] > 0
    # A fast machine has it down to nothing once rounded.
    left = run.facts["remaining"] / run.facts["rate"]
    assert run.facts["seconds_left"] == pytest.approx(left, abs=0.1 + left / 10)
    assert run.facts["estimated_end"] >= utc_now().replace(microsecond=0)
    assert second["documents"] == 25 - first["documents"]
    assert all("b" in document for document in read(database).values())


def test_a_document_that_the_validator_refuses_is_kept_as_dead_letter_and_the_rest_goes_on(
    database: Db,
) -> None:
    schemas = registry(database)
    for number in range(250):
        store(database, schemas, str(number), {"a": number})
    store(database, schemas, "new", {"b": 1})
    database.command("collMod", "events", validator={"$nor": [{"a": {"$in": [3, 4]}, "b": None}]})
    # The condition holds for an absent b too: those two can not be rewritten at all.
    job = backfill(database, schemas)

    result = job(Run())

    assert (result["documents"], result["failed"], result["remaining"]) == (248, 2, 2)
    entries = list(database["dead_letter_queue"].find().sort("document_id"))
    assert [entry["document_id"] for entry in entries] == ["3", "4"]
    assert {entry["reason"] for entry in entries} == {"migration_failed"}
    assert {(entry["code"], entry["to_version"], entry["seen"]) for entry in entries} == {
        (121, 2, 1)
    }
    assert {entry["status"] for entry in entries} == {"pending_inspection"}


def refused_by_index(database: Db) -> tuple[Any, Any]:
    """Two documents of which a unique index lets only one be filled."""
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"a": 2})
    store(database, schemas, "new", {"b": "x"})
    database["events"].create_index(
        "b", unique=True, name="mine", partialFilterExpression={"b": {"$exists": True}}
    )
    return schemas, backfill(database, schemas)


def test_a_refused_document_is_not_tried_again_until_something_changed(database: Db) -> None:
    schemas, job = refused_by_index(database)
    first = job(Run())

    again = job(Run())
    store(database, schemas, "newer", {"b": "y", "c": 1})
    after_a_version = job(Run())

    assert (first["documents"], first["failed"]) == (1, 1)
    assert (again["documents"], again["failed"], again["passed_over"]) == (0, 0, 1)
    assert after_a_version["failed"] == 1
    assert database["dead_letter_queue"].find_one({}, {"_id": 0, "seen": 1, "code": 1}) == {
        "seen": 2,
        "code": 11000,
    }


def test_a_refused_document_is_tried_again_after_a_day_or_when_a_person_says_so(
    database: Db,
) -> None:
    schemas, job = refused_by_index(database)
    job(Run())
    by_hand = BackfillRules(0, AT_ONCE.pace, retry_refused=True)
    tomorrow = backfill(database, schemas, clock=lambda: utc_now() + AGAIN_AFTER)

    assert backfill(database, schemas, by_hand)(Run())["failed"] == 1
    assert tomorrow(Run())["failed"] == 1

    database["events"].drop_index("mine")
    assert backfill(database, schemas, by_hand)(Run())["documents"] == 1
    (entry,) = database["dead_letter_queue"].find()
    assert (entry["status"], entry["history"][0]["result"]) == ("resolved", "filled")
    assert entry["expires_at"] > utc_now()


def test_an_entry_that_somebody_discarded_is_left_alone(database: Db) -> None:
    schemas, job = refused_by_index(database)
    job(Run())
    database["dead_letter_queue"].update_one({}, {"$set": {"status": "discarded"}})
    store(database, schemas, "newer", {"b": "y", "c": 1})

    result = job(Run())

    by_hand = backfill(database, schemas, BackfillRules(0, AT_ONCE.pace, retry_refused=True))
    assert (result["failed"], result["passed_over"]) == (0, 1)
    assert by_hand(Run())["passed_over"] == 1

    # Even when nothing would refuse it any more.
    database["events"].drop_index("mine")
    assert by_hand(Run())["documents"] == 0


def test_a_document_that_grew_too_large_is_skipped(database: Db) -> None:
    policy = SchemaPolicy(subject_policy(defaults={"b": "x" * 2_000_000}))
    schemas = registry(database, policy)
    store(database, schemas, "large", {"a": "x" * 15_500_000})
    store(database, schemas, "small", {"a": "x"})
    store(database, schemas, "new", {"b": "x"})

    result = backfill(database, schemas)(Run())

    assert (result["documents"], result["failed"]) == (1, 1)
    (entry,) = database["dead_letter_queue"].find()
    assert entry["document_id"] == "large"
    assert "larger than MongoDB takes" in entry["error_message"]
    assert len(read(database)["small"]["b"]) == 2_000_000


@pytest.mark.parametrize("change", [{"b": "by hand", "n": None}, {"b": "by hand"}, {"n": [{}]}])
@pytest.mark.parametrize("way", ["by stretches", "by ids"])
def test_a_parallel_change_is_never_overwritten(database: Db, way: str, change: Document) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "n": {"x": 1}})
    store(database, schemas, "2", {"b": 1, "n": {"y": 1}})
    schema = newer_than(schemas.compiled("s"), 1)
    plan = upgrade(schema, 1, 2)
    events = database["events"]
    events.create_index(mongo.BY_STAMP)
    found = BackfillStore(events)
    ids, span = found.ids("s", 1, 0, 10), found.next_span("s", 1, None, 10)
    assert span is not None

    # Between the look and the update somebody fills a field himself, or changes an object.
    events.update_one({"_id": "1"}, {"$set": change})
    if way == "by ids":
        found.apply(ids, plan)
    else:
        found.fill_span(span, plan)

    filled = {"a": 1, "n": {"x": 1, "y": None}, "b": None}
    assert payload_part(read(database)["1"]) == {**filled, **change}


def test_two_at_once_fill_each_document_once(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    plan = upgrade(newer_than(schemas.compiled("s"), 1), 1, 2)
    one, other = BackfillStore(database["events"]), BackfillStore(database["events"])
    ids = one.ids("s", 1, 0, 10)

    assert one.apply(ids, plan).documents == 1
    assert other.apply(ids, plan).documents == 0


def test_a_process_with_an_older_head_never_takes_a_stamp_back(database: Db) -> None:
    schemas, stale = registry(database), registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    plan = upgrade(newer_than(stale.compiled("s"), 1), 1, 2)
    ids = BackfillStore(database["events"]).ids("s", 1, 0, 10)
    store(database, schemas, "3", {"c": 1})
    backfill(database, schemas)(Run())

    done = BackfillStore(database["events"]).apply(ids, plan)

    assert done.documents == 0
    assert read(database)["1"]["_meta"]["backfilled_to"] == 3


def test_what_a_backfill_adds_is_newer_than_the_documents_version(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "gone": 1})
    database["events"].update_one({"_id": "1"}, {"$unset": {"gone": ""}})
    store(database, schemas, "2", {"b": 1})

    backfill(database, schemas)(Run())

    # A field that a person took out is not filled: it would look as if it had been sent.
    assert payload_part(read(database)["1"]) == {"a": 1, "b": None}


def test_an_unknown_subject_is_named(database: Db) -> None:
    with pytest.raises(SetupError, match="schema list"):
        backfill(database, registry(database)).behind("nobody")


def test_a_schema_of_32_levels_is_filled_in_mongodb(database: Db) -> None:
    deep: Document = {"leaf": 1}
    odd: Document = {"leaf": 1}
    for level in range(30):
        deep = {f"level{level}": deep, "other": level}
        odd = {"a.b": odd, "$c": level} if level < 12 else odd
    bare = remove_last(copy.deepcopy(deep))
    schemas = registry(database)
    store(database, schemas, "1", {"deep": bare, "odd": remove_last(copy.deepcopy(odd))})
    store(database, schemas, "2", {"deep": deep, "odd": odd})
    schema = newer_than(schemas.compiled("s"), 1)

    assert fill_pipeline(schema, 2) is not None
    result = backfill(database, schemas)(Run())

    assert result["documents"] == 1
    assert read(database)["1"] == payload_of(read(database)["1"], deep, odd)


def remove_last(value: Document) -> Document:
    """Take out the innermost leaf."""
    innermost(value).pop("leaf")
    return value


def innermost(value: Document) -> Document:
    while (below := next((v for v in value.values() if isinstance(v, dict)), None)) is not None:
        value = below
    return value


def payload_of(document: Document, deep: Document, odd: Document) -> Document:
    filled = {"deep": copy.deepcopy(deep), "odd": copy.deepcopy(odd)}
    for value in filled.values():
        innermost(value)["leaf"] = None
    return {**document, **filled}


def test_filling_here_never_overwrites_a_parallel_change(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    schema = newer_than(schemas.compiled("s"), 1)

    class Changing:
        """The collection, where somebody writes between our look and our update."""

        def with_options(self, **options: Any) -> Any:
            return database["events"].with_options(**options)

        def update_one(self, *arguments: Any) -> Any:
            database["events"].update_one({"_id": "1"}, {"$set": {"a": "by hand"}})
            return database["events"].update_one(*arguments)

    changing: Any = Changing()
    done, refused = fill_whole(changing, ["1"], 1, 2, schema)

    assert (done, [refusal.code for refusal in refused]) == (0, [0])
    assert payload_part(read(database)["1"]) == {"a": "by hand"}


# -- speed -----------------------------------------------------------------------------------------


def test_documents_that_no_stretch_can_hold_are_filled_too(database: Db) -> None:
    schemas = registry(database)
    template = laid_out(schemas, "first", {"a": 1})
    crowd = [{**template, "_id": f"crowd {n}"} for n in range(300)]
    spread = [
        {**template, "_id": f"spread {n}", "processed_at": LONG_AGO + timedelta(seconds=n // 3)}
        for n in range(300)
    ]
    # Whoever can write to MongoDB can put anything there.
    odd_dates: list[Any] = [None, "x", [LONG_AGO, LONG_AGO], 7]
    odd: list[Document] = [{**template, "processed_at": value} for value in odd_dates]
    odd += [{**template, "schema_version": value} for value in (None, "x", [1, 2], 1.5, 2**40)]
    odd += [{**template, "processed_at": datetime(1, 1, 1, tzinfo=timezone.utc)}]
    strangers = [{**document, "_id": f"odd {n}"} for n, document in enumerate(odd)]
    database["events"].insert_many([*crowd, *spread, *strangers])
    beyond = {**template, "_id": "beyond", "processed_at": DatetimeMS(2**60)}
    database["events"].insert_one(beyond)
    store(database, schemas, "new", {"b": 1})

    result = backfill(database, schemas, BackfillRules(0, PaceRules(batch=20, pause=0)))(Run())

    assert (result["documents"], result["failed"], result["remaining"]) == (611, 0, 0)
    assert database["events"].count_documents({"b": {"$exists": False}}) == 0


def test_stretches_follow_each_other_without_gap_or_overlap(database: Db) -> None:
    schemas = registry(database)
    template = laid_out(schemas, "first", {"a": 1})
    database["events"].create_index(mongo.BY_STAMP)
    database["events"].insert_many(
        {
            **template,
            "_id": number,
            "schema_version": number % 2,
            "processed_at": LONG_AGO + timedelta(seconds=number // 5),
        }
        for number in range(101)
    )
    found, last, seen = BackfillStore(database["events"]), None, []

    while (last := found.next_span("s", 1, last, 7)) is not None:
        inside = [document["_id"] for document in database["events"].find(last.filter)]
        assert len(inside) == last.documents <= 14
        seen += inside

    assert sorted(seen) == list(range(101))


def test_cutting_a_stretch_reads_its_index_and_no_document(database: Db) -> None:
    mongo.create_indexes(database)
    schemas = registry(database)
    for number in range(20):
        store(database, schemas, str(number), {"a": number})
    database.command("profile", 2)

    BackfillStore(database["events"]).next_span("s", 1, None, 5)

    database.command("profile", 0)
    looks = list(database["system.profile"].find({"ns": f"{database.name}.events"}))
    assert looks
    assert sum(look["docsExamined"] for look in looks) == 0


def test_the_look_for_documents_behind_reads_the_index(database: Db) -> None:
    mongo.create_indexes(database)
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    query = {"_meta.subject": "s", "_meta.backfilled_to": {"$lt": 2}}

    plan = database["events"].find(query, {"_id": 1}).explain()["queryPlanner"]["winningPlan"]
    counted = database.command(
        "explain", {"count": "events", "query": query}, verbosity="queryPlanner"
    )

    assert "IXSCAN" in str(plan)
    assert "COUNT_SCAN" in str(counted) or "IXSCAN" in str(counted)


def test_batches_shrink_when_they_take_long_and_rest_as_long_as_they_took() -> None:
    slept: list[float] = []
    pace = Pace(PaceRules(batch=400, pause=0.1), slept.append)
    started = pace.size

    pace.rest(1.0, lambda: False)
    after_a_long_one = pace.size
    for _ in range(5):
        pace.rest(0.01, lambda: False)

    assert (started, after_a_long_one, pace.size) == (100, 50, 400)
    assert sum(slept[:4]) == pytest.approx(1.0)
    assert slept[4:] == [0.1] * 5


def test_a_stop_does_not_wait_for_the_rest() -> None:
    slept: list[float] = []

    Pace(PaceRules(), slept.append).rest(10.0, lambda: len(slept) == 2)

    assert len(slept) == 2
