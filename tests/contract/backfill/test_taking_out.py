"""Fillings of a retired field leave the documents; values that were sent or changed never do.

MongoDB and the pure function do the same.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import Decimal128
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.errors import Unstorable
from consumer.core.paths import Path, from_text, is_fillable, to_segment
from consumer.events.documents import as_stored, encode
from consumer.events.recent import as_sent
from consumer.mongodb.indexes import BY_STAMP
from consumer.schemas.defaults import newer_than
from consumer.schemas.manual_changes import retire, unmap
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Guards, SchemaPolicy, subject_policy
from consumer.schemas.provenance import leaving, remove_fillings
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.subject import Make
from jobs.backfill.store import BackfillStore, upgrade
from tests.contract.backfill.test_filling import clean, histories, same
from tests.support.backfill import AT_ONCE, backfill, payload_part, read, registry, store
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]
NULL = SchemaPolicy()
TYPED = SchemaPolicy(subject_policy(typed=True))
MAPPED = SchemaPolicy(subject_policy(defaults={"b": "none", "o": {"k": 1}, "a.b": {}}))
WAYS = ("by ids", "in this process")


def retiring(path: Path) -> Make:
    return lambda head, now: retire(head, path, now)


def retired(schemas: SchemaRegistry, *texts: str) -> SchemaVersion:
    for text in texts:
        schemas.change("s", retiring(from_text(text)))
    head = schemas.refreshed("s")
    assert head is not None
    return head


def taken_out(database: Db, schemas: SchemaRegistry, way: str) -> int:
    """Bring all documents up to the head in one of the ways; how many kept something."""
    database["events"].create_index(BY_STAMP)
    found, stamp, left = BackfillStore(database["events"]), -1, 0
    schema = schemas.compiled("s")
    head = schema.version
    assert head is not None
    while (at := found.next_stamp("s", stamp, head.due)) is not None:
        stamp = at
        gone = leaving(head, schema.defaults, stamp)
        plan = upgrade(newer_than(schema, stamp), stamp, head.number, gone)
        assert plan.pipeline is not None
        one = replace(plan, pipeline=None, left=None) if way == "in this process" else plan
        left += found.apply(found.ids("s", stamp, 0, 100), one).left
    return left


def payloads(database: Db) -> dict[str, Document]:
    return {_id: payload_part(document) for _id, document in read(database).items()}


def metas(database: Db) -> dict[str, Document]:
    return {_id: document["_meta"] for _id, document in read(database).items()}


each_way = pytest.mark.parametrize("way", WAYS)


@each_way
@pytest.mark.parametrize(
    ("policy", "given"), [(NULL, None), (TYPED, ""), (MAPPED, "none")], ids=["null", "typed", "map"]
)
def test_fillings_of_a_retired_field_leave_with_their_positions_and_nothing_else_does(
    database: Db, policy: SchemaPolicy, given: Any, way: str
) -> None:
    schemas = registry(database, policy)
    store(database, schemas, "older", {"a": "x"})
    store(database, schemas, "sent", {"a": "x", "b": "mine", "c": "y"})
    store(database, schemas, "ingest", {"a": "x"})
    store(database, schemas, "null", {"a": "x", "b": None, "c": "y"})
    store(database, schemas, "changed", {"a": "x"})
    backfill(database, schemas)(Run())
    database["events"].update_one({"_id": "changed"}, {"$set": {"b": "by hand"}})
    assert payloads(database)["older"]["b"] == given == payloads(database)["ingest"]["b"]
    assert metas(database)["ingest"]["filled"] == [1, 2]

    head = retired(schemas, "b")
    left = taken_out(database, schemas, way)

    found, after = payloads(database), metas(database)
    assert "b" not in found["older"]
    assert "b" not in found["ingest"]
    assert [found[name]["b"] for name in ("sent", "null", "changed")] == ["mine", None, "by hand"]
    assert all("c" in payload for payload in found.values())
    assert {name: meta.get("filled") for name, meta in after.items()} == {
        "older": None, "sent": None, "ingest": [2], "null": None, "changed": [1, 2],
    }  # fmt: skip
    assert {meta["backfilled_to"] for meta in after.values()} == {head.number}
    assert left == 1


@each_way
def test_of_a_document_with_something_untracked_what_is_listed_leaves_and_the_rest_is_counted(
    database: Db, way: str
) -> None:
    narrow = registry(database, SchemaPolicy(guards=Guards(paths_per_subject=2)))
    store(database, narrow, "first", {"a": 1, "b": 1})
    store(database, narrow, "untracked", {"a": 1, "c": None})
    schemas = registry(database)
    store(database, schemas, "wider", {"a": 1, "b": 1, "c": 1})
    backfill(database, schemas)(Run())
    before = read(database)["untracked"]
    assert (before["c"], before["b"], before["_meta"]["filled"]) == (None, None, [1])

    retired(schemas, "b", "c")
    left = taken_out(database, schemas, way)

    after = read(database)["untracked"]
    assert payload_part(after) == {"a": 1, "c": None}
    assert "filled" not in after["_meta"]
    assert left == 1


@each_way
def test_what_lies_below_a_retired_object_leaves_before_the_object_itself(
    database: Db, way: str
) -> None:
    schemas = registry(database, TYPED)
    store(database, schemas, "first", {"a": 1, "o": {"x": 1, "y": {"z": "text"}}})
    store(database, schemas, "whole", {"a": 1})
    store(database, schemas, "part", {"a": 1, "o": {"x": 5}})
    store(database, schemas, "changed", {"a": 1})
    assert payloads(database)["whole"]["o"] == {"x": 0, "y": {"z": ""}}
    database["events"].update_one({"_id": "changed"}, {"$set": {"o.y.z": "by hand"}})

    retired(schemas, "o")
    left = taken_out(database, schemas, way)

    found = payloads(database)
    assert found["whole"] == {"a": 1}
    assert found["part"] == {"a": 1, "o": {"x": 5}}
    assert found["changed"] == {"a": 1, "o": {"y": {"z": "by hand"}}}
    assert found["first"]["o"] == {"x": 1, "y": {"z": "text"}}
    assert left == 1


STRANGE = ("a.b", "$c", "", "*", "[]", "\\", "0", "4711", " ", "$$ROOT", "é")


@each_way
@pytest.mark.parametrize("key", STRANGE)
def test_a_strange_key_leaves_where_it_was_filled_and_nowhere_else(
    database: Db, key: str, way: str
) -> None:
    schemas = registry(database)
    beside: Document = {"k": 1, "list": [{key: None}], "$x": {"y": 1}}
    store(database, schemas, "first", {"in": {**beside, key: {key: 1, "o": 1}}, "top." + key: 1})
    store(database, schemas, "absent", {"in": beside})
    store(database, schemas, "empty", {"in": {**beside, key: {}}})
    store(database, schemas, "scalar", {"in": {**beside, key: 7}})
    before = read(database)
    assert before["empty"]["in"][key] == {key: None, "o": None}

    segment = to_segment(key)
    for path in (("in", segment), ("top." + key,)):
        schemas.change("s", retiring(path))
    left = taken_out(database, schemas, way)

    found = payloads(database)
    assert same(found["first"], payload_part(before["first"]))
    assert same(found["absent"], {"in": beside})
    assert same(found["empty"], {"in": {**beside, key: {}}})
    assert same(found["scalar"], {"in": {**beside, key: 7}})
    assert all("filled" not in meta for meta in metas(database).values())
    assert left == 0


@each_way
def test_what_a_map_may_have_held_is_kept_when_its_undone_field_is_retired(
    database: Db, way: str
) -> None:
    schemas = registry(database)
    ids = [f"6f1b9a2e-0d0c-4f57-9a0c-0242ac12{n:04}" for n in range(501)]
    store(database, schemas, "before", {"m": {"x": 1}})
    store(database, schemas, "filled", {"m": {}})
    store(database, schemas, "map", {"m": {**dict.fromkeys(ids, 1), "new": None}})
    store(database, schemas, "in the map", {"m": {"x": None}})
    schemas.change("s", lambda head, now: unmap(head, ("m",), now))
    store(database, schemas, "after", {"m": {"new": 1}})
    backfill(database, schemas)(Run())
    assert payloads(database)["filled"]["m"]["new"] is None

    retired(schemas, "m.x", "m.new")
    taken_out(database, schemas, way)

    found = payloads(database)
    assert found["before"]["m"]["x"] == 1
    assert found["in the map"]["m"]["x"] is None
    assert found["map"]["m"]["new"] is None
    assert "x" not in found["after"]["m"]
    assert "x" not in found["filled"]["m"]


def test_a_retired_field_that_documents_never_got_rewrites_nothing(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "list": [{"x": 1}]})
    retired(schemas, "list[].x")
    before = read(database)

    assert backfill(database, schemas).behind() == []
    assert read(database) == before


def test_the_job_takes_out_and_says_what_was_left(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "0", {"a": 1, "b": 1})
    for n in range(1, 251):
        store(database, schemas, str(n), {"a": n})
    database["events"].update_many({"a": {"$gt": 245}}, {"$set": {"b": "by hand"}})
    retired(schemas, "b")
    job = backfill(database, schemas)

    behind = job.behind()
    told = job.fill(behind, Run())

    assert [(work.documents, work.fields, work.retired) for work in behind] == [(251, 0, 1)]
    assert (told["documents"], told["left"], told["remaining"]) == (251, 5, 0)
    assert database["events"].count_documents({"b": None, "_meta.filled": 1}) == 0
    assert database["events"].count_documents({"b": {"$exists": True}}) == 6
    assert job.behind() == []


def test_nothing_is_taken_out_before_the_subject_is_quiet(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "b": 1})
    store(database, schemas, "2", {"a": 1})
    retired(schemas, "b")
    now = utc_now()
    job = backfill(database, schemas, replace(AT_ONCE, quiet=60), lambda: now)

    assert job(Run())["remaining"] == 2
    now += timedelta(seconds=61)
    assert job(Run())["remaining"] == 0
    assert payloads(database)["2"] == {"a": 1}


def test_a_stale_process_that_fills_a_retired_field_is_cleaned_up_after(database: Db) -> None:
    schemas, stale = registry(database), registry(database)
    store(database, schemas, "1", {"a": 1, "b": 1})
    assert stale.head("s") is not None
    retired(schemas, "b")
    backfill(database, schemas)(Run())

    store(database, stale, "late", {"a": 1})
    assert payloads(database)["late"] == {"a": 1, "b": None}
    backfill(database, schemas)(Run())

    assert payloads(database)["late"] == {"a": 1}
    assert "filled" not in metas(database)["late"]


def test_a_field_sent_again_is_known_and_not_filled_in_the_others(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "b": 1})
    head = retired(schemas, "b")
    store(database, schemas, "again", {"a": 1, "b": 2})
    store(database, schemas, "without", {"a": 1})
    backfill(database, schemas)(Run())

    assert payloads(database)["again"] == {"a": 1, "b": 2}
    assert payloads(database)["without"] == {"a": 1}
    assert schemas.refreshed("s") == head


def test_more_retired_fields_than_a_command_names_leave_in_this_process(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"o": {f"f{n}": n for n in range(250)}})
    store(database, schemas, "2", {"o": {"f0": 0}})
    retired(schemas, "o")

    told = backfill(database, schemas)(Run())

    assert payloads(database)["2"] == {"o": {"f0": 0}}
    assert (told["documents"], told["left"]) == (2, 0)


def test_a_default_that_no_integer_holds_leaves_too(database: Db) -> None:
    policy = SchemaPolicy(subject_policy(defaults={"b": 2**70}))
    schemas = registry(database, policy)
    store(database, schemas, "1", {"a": 1, "b": 1})
    store(database, schemas, "2", {"a": 1})
    assert payloads(database)["2"]["b"] == Decimal128(str(2**70))
    retired(schemas, "b")

    backfill(database, schemas)(Run())

    assert payloads(database)["2"] == {"a": 1}


@pytest.mark.slow
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories(), data=st.data())
def test_mongodb_takes_out_what_the_function_does_and_what_was_sent_stays(
    database: Db, history: tuple[SchemaPolicy, list[Document]], data: st.DataObject
) -> None:
    policy, events = history
    clean(database)
    schemas = registry(database, policy)
    try:
        for number, payload in enumerate(events):
            store(database, schemas, str(number), payload)
    except Unstorable:
        reject()
    backfill(database, schemas)(Run())
    head = schemas.refreshed("s")
    assert head is not None
    fillable = [field.path for field in head.live if is_fillable(field.path)]
    if not fillable:
        reject()
    for path in data.draw(st.lists(st.sampled_from(fillable), min_size=1, max_size=3)):
        schemas.change("s", retiring(path))
    head = schemas.refreshed("s")
    assert head is not None
    defaults = schemas.compiled("s").defaults
    before = read(database)
    sent = {_id: as_sent(document, head, defaults) for _id, document in before.items()}

    counted = taken_out(database, schemas, "by ids")

    left = 0
    for _id, was in before.items():
        wanted = copy.deepcopy(was)
        gone = leaving(head, defaults, was["_meta"]["backfilled_to"])
        gone = tuple(replace(each, values=as_stored(each.values)) for each in gone)
        left += bool(remove_fillings(wanted, gone) if gone else 0)
        after = read(database)[_id]
        wanted["_meta"]["backfilled_to"] = after["_meta"]["backfilled_to"]
        assert same(after, wanted)
        # In its order, too.
        assert encode(payload_part(after)).raw == encode(payload_part(wanted)).raw
        # Whatever was sent is there, and can be told.
        assert same(as_sent(after, head, defaults), sent[_id])
    assert counted == left


def test_room_that_a_retired_field_frees_goes_to_the_next_one(database: Db) -> None:
    schemas = registry(database, SchemaPolicy(subject_policy(max_fields=2)))
    store(database, schemas, "1", {"a": 1, "b": 1, "c": 1, "d": 1})
    store(database, schemas, "before", {})
    retired(schemas, "a")
    store(database, schemas, "after", {})
    backfill(database, schemas)(Run())

    assert payloads(database)["after"] == {"b": None, "c": None}
    # What was left out on purpose stays so until somebody asks for it.
    assert payloads(database)["before"] == {"b": None}
    assert metas(database)["before"]["unfilled"] == 1
