"""A backfill fills by aliases what ingest would have, where it is certain that it was not sent.

MongoDB and this process do the same.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pymongo.database import Database

from consumer.core.errors import SetupError, Unstorable
from consumer.core.paths import from_text, is_reserved
from consumer.events.documents import encode, plain
from consumer.events.recent import as_sent
from consumer.mongodb.indexes import BY_STAMP
from consumer.schemas.defaults import newer_than
from consumer.schemas.manual_changes import alias, alias_value, unalias, unmap
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults, Guards, SchemaPolicy, SubjectPolicy, subject_policy
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.backfill.aliases import count
from jobs.backfill.store import BackfillStore, upgrade
from tests.contract.backfill.test_filling import clean, same
from tests.support import aliases
from tests.support.aliases import aliased, model
from tests.support.backfill import AT_ONCE, backfill, payload_part, read, registry, store
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]
WAYS = ("by ids", "in this process")
each_way = pytest.mark.parametrize("way", WAYS)
SLOW = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def aliasing(schemas: SchemaRegistry, old: str, new: str) -> SchemaVersion:
    made = lambda head, now: alias(head, from_text(old), from_text(new), now)  # noqa: E731
    return schemas.change("s", made)[0]


def valuing(schemas: SchemaRegistry, old: str, text: str) -> SchemaVersion:
    return schemas.change("s", lambda head, now: alias_value(head, from_text(old), text, now))[0]


def take_over(schemas: SchemaRegistry, version: SchemaVersion) -> None:
    """Decide again, one by one, what was decided for a version elsewhere."""
    for each in version.aliases:

        def decide(head: SchemaVersion, now: Any, each: Any = each) -> SchemaVersion | None:
            made = replace(each, since=head.number + 1)
            return replace(
                head, number=head.number + 1, aliases=(*head.aliases, made), created_at=now
            )

        schemas.change("s", decide)


def fill_all(database: Db, schemas: SchemaRegistry, way: str) -> None:
    database["events"].create_index(BY_STAMP)
    found, stamp = BackfillStore(database["events"]), -1
    head = schemas.refreshed("s")
    assert head is not None
    while (at := found.next_stamp("s", stamp, head.due)) is not None:
        stamp = at
        plan = upgrade(newer_than(schemas.compiled("s"), stamp), stamp, head.number)
        ids = found.ids("s", stamp, 0, 100)
        assert plan.pipeline is not None
        one = replace(plan, pipeline=None) if way == "in this process" else plan
        assert found.apply(ids, one).documents == len(ids)


def restored(database: Db, documents: dict[Any, Document]) -> None:
    database["events"].delete_many({})
    if documents:
        database["events"].insert_many([encode(document) for document in documents.values()])


def stored_by(
    database: Db, schemas: SchemaRegistry, events: list[Document], filled_after: int
) -> None:
    try:
        for number, payload in enumerate(events):
            store(database, schemas, str(number), payload)
            if number == filled_after:
                fill_all(database, schemas, "by ids")
    except Unstorable:
        reject()


histories = st.lists(aliases.payloads, min_size=2, max_size=5)
meddling = st.dictionaries(
    st.integers(0, 4).map(str),
    st.fixed_dictionaries(
        {},
        optional={
            "untracked": st.just(1),
            "version": st.sampled_from([0, 1, 2, "odd", None]),
            "filled": st.lists(st.integers(0, 9), max_size=4, unique=True),
            "values": st.dictionaries(st.sampled_from(["a", "b", "c"]), st.none(), max_size=2),
        },
    ),
    max_size=3,
)


@pytest.mark.slow
@SLOW
@given(
    events=histories, at=st.integers(0, 4), how=meddling, filling=aliases.defaults, data=st.data()
)
def test_mongodb_fills_by_aliases_what_this_process_would(
    database: Db,
    events: list[Document],
    at: int,
    how: dict[str, Document],
    filling: Defaults,
    data: st.DataObject,
) -> None:
    clean(database)
    schemas = registry(database, SchemaPolicy(SubjectPolicy(defaults=filling)))
    stored_by(database, schemas, events, at)
    head = schemas.head("s")
    assert head is not None
    take_over(schemas, data.draw(aliased(head)))
    before = read(database)
    for _id, done in how.items():
        if _id in before:
            meddled_with(before[_id], done)
    ways = {}

    for way in WAYS:
        restored(database, before)
        fill_all(database, schemas, way)
        ways[way] = {_id: encode(each).raw for _id, each in read(database).items()}

    assert ways["by ids"] == ways["in this process"]


def meddled_with(document: Document, done: Document) -> None:
    meta = document["_meta"]
    if "untracked" in done:
        meta["untracked"] = 1
    if "version" in done:
        document["schema_version"] = done["version"]
    if "filled" in done:
        meta["filled"] = done["filled"]
    document.update(done.get("values", {}))


@pytest.mark.slow
@each_way
@SLOW
@given(events=histories, at=st.integers(0, 4), room=st.sampled_from([200, 65_536]), data=st.data())
def test_what_is_aliased_later_is_what_ingest_would_have_stored(
    database: Db, way: str, events: list[Document], at: int, room: int, data: st.DataObject
) -> None:
    clean(database)
    filling = Defaults(max_bytes=room)
    schemas = registry(database, SchemaPolicy(SubjectPolicy(defaults=filling)))
    stored_by(database, schemas, events, at)
    head = schemas.head("s")
    assert head is not None
    take_over(schemas, data.draw(aliased(head)))
    head = schemas.refreshed("s")
    assert head is not None

    fill_all(database, schemas, way)

    for number, payload in enumerate(events):
        sent = {key: value for key, value in payload.items() if not is_reserved(key)}
        after = read(database)[str(number)]
        if head.aliases_in_force:
            assert same(payload_part(after), plain(encode(model(sent, head, filling))))
        assert same(as_sent(copy.deepcopy(after), head, filling), plain(encode(payload)))


OLD = {"id": 1, "case": {"id": 7, "owner": {"name": "n"}}}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_documents_of_before_and_after_the_rename_get_the_old_field(database: Db, way: str) -> None:
    schemas = registry(database)
    store(database, schemas, "old", OLD)
    store(database, schemas, "new", {"id": 2, "contact": {"id": 8, "owner": {"name": "m"}}})
    store(database, schemas, "both", {"id": 3, "case": {"id": 9}, "contact": {"id": 10}})
    store(database, schemas, "null", {"id": 4, "case": None, "contact": {"id": 11}})
    fill_all(database, schemas, way)
    made = aliasing(schemas, "case", "contact")
    store(database, schemas, "after", {"id": 5, "contact": {"id": 12}})

    fill_all(database, schemas, way)

    found = read(database)
    assert {_id: each["case"] for _id, each in found.items()} == {
        "old": {"id": 7, "owner": {"name": "n"}},
        "new": {"id": 8, "owner": {"name": "m"}},
        "both": {"id": 9, "owner": None},
        "null": None,
        "after": {"id": 12, "owner": None},
    }
    assert {each["_meta"]["backfilled_to"] for each in found.values()} == {made.number}
    assert [1 in found[_id]["_meta"].get("filled", []) for _id in ("new", "both", "null")] == [
        True,
        False,
        False,
    ]
    # Nothing is done again, and nothing is left of the way.
    again = read(database)
    fill_all(database, schemas, way)
    assert read(database) == again
    assert not any("aliased" in each["_meta"] for each in again.values())


def test_what_a_backfill_put_there_is_replaced_where_nobody_could_have_sent_it(
    database: Db, way: str
) -> None:
    narrow = registry(database, SchemaPolicy(guards=Guards(paths_per_subject=2)))
    store(database, narrow, "certain", {"id": 1, "new": "x"})
    store(database, narrow, "untracked", {"id": 1, "new": "x", "old": None})
    schemas = registry(database)
    store(database, schemas, "knows", {"id": 1, "old": "y"})
    fill_all(database, schemas, way)
    aliasing(schemas, "old", "new")

    fill_all(database, schemas, way)

    found = {_id: each["old"] for _id, each in read(database).items()}
    assert found == {"certain": "x", "untracked": None, "knows": "y"}


@pytest.mark.parametrize(("version", "expected"), [(0, None), (1, "x"), ("odd", None), (2, None)])
def test_a_document_of_no_version_or_of_one_that_knew_the_field_may_have_sent_it(
    database: Db, way: str, version: Any, expected: Any
) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"id": 1})
    store(database, schemas, "2", {"old": "y"})
    fill_all(database, schemas, way)
    database["events"].update_one({"_id": "1"}, {"$set": {"schema_version": version, "q": "x"}})
    aliasing(schemas, "old", "q")

    fill_all(database, schemas, way)

    assert read(database)["1"]["old"] == expected


def test_all_copies_of_a_document_share_its_room(database: Db, way: str) -> None:
    filling = Defaults(max_bytes=26 + 2 * 100)
    schemas = registry(database, SchemaPolicy(SubjectPolicy(defaults=filling)))
    store(database, schemas, "known", {"a": "s", "b": "s", "x": "s", "y": "s"})
    store(database, schemas, "much", {"x": "1" * 60, "y": "2" * 80})
    store(database, schemas, "little", {"x": "1" * 60, "y": "2" * 70})
    aliasing(schemas, "a", "x")
    aliasing(schemas, "b", "y")

    fill_all(database, schemas, way)

    found = read(database)
    assert (found["much"]["a"], found["much"]["b"]) == ("1" * 60, None)
    assert (found["little"]["a"], found["little"]["b"]) == ("1" * 60, "2" * 70)


@pytest.mark.parametrize(
    ("part", "fits"),
    [
        ({"m": {"k": 1, "l": 2}}, True),
        ({"m": {"k": 1, "l": "text"}}, False),
        ({"list": [{"n": 1}, {"n": 2}]}, True),
        ({"list": [{"n": 1}, {"n": "text"}]}, False),
        ({"list": [{"n": 1, "more": "text"}]}, True),
        ({"list": [1]}, False),
        ({"list": []}, True),
        ({"list": {}}, False),
        ({"pure": [{"any": 1}, 2]}, True),
    ],
)
def test_a_map_or_an_array_in_a_copy_fits_as_a_whole_or_is_left_out(
    database: Db, way: str, part: Document, fits: bool
) -> None:
    schemas = registry(database, SchemaPolicy(subject_policy(maps=["old.m"])))
    known = {"m": {"a": 1}, "list": [{"n": 1}], "pure": []}
    store(database, schemas, "1", {"old": known, "id": 1})
    store(database, schemas, "2", {"new": {**known, **part}})
    aliasing(schemas, "old", "new")

    fill_all(database, schemas, way)

    (name,) = part
    assert read(database)["2"]["old"] == {**known, **(part if fits else {name: None})}


def test_a_default_that_somebody_changed_stays(database: Db, way: str) -> None:
    schemas = registry(database, SchemaPolicy(subject_policy(typed=True)))
    store(database, schemas, "1", {"old": "y", "new": "z"})
    for _id in ("2", "3"):
        store(database, schemas, _id, {"new": "x"})
    database["events"].update_one({"_id": "3"}, {"$set": {"old": "by hand"}})
    assert read(database)["2"]["old"] == ""
    aliasing(schemas, "old", "new")

    fill_all(database, schemas, way)

    assert {_id: each["old"] for _id, each in read(database).items()} == {
        "1": "y",
        "2": "x",
        "3": "by hand",
    }


def test_parents_that_were_filled_with_null_become_objects_and_those_sent_as_null_do_not(
    database: Db, way: str
) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"case": {"owner": {"name": "a", "age": 5}}})
    store(database, schemas, "2", {"agent": "b"})
    store(database, schemas, "3", {"agent": "c", "case": None})
    store(database, schemas, "4", {"agent": "d", "case": {"owner": 5}})
    aliasing(schemas, "case.owner.name", "agent")

    fill_all(database, schemas, way)

    found = read(database)
    assert found["2"]["case"] == {"owner": {"name": "b", "age": None}}
    assert found["2"]["_meta"]["filled"] == [0, 1, 2]
    assert found["3"]["case"] is None
    assert found["4"]["case"] == {"owner": 5}
    head = schemas.head("s")
    assert head is not None
    assert as_sent(found["2"], head, Defaults()) == {"agent": "b"}


def test_the_end_of_an_alias_leaves_what_is_stored(database: Db, way: str) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"old": 1})
    store(database, schemas, "2", {"new": 2})
    aliasing(schemas, "old", "new")
    fill_all(database, schemas, way)

    schemas.change("s", lambda head, now: unalias(head, ("old",), now))
    store(database, schemas, "3", {"new": 3})
    fill_all(database, schemas, way)

    assert {_id: each["old"] for _id, each in read(database).items()} == {"1": 1, "2": 2, "3": None}


def test_a_value_fills_what_no_field_does_and_a_default_by_mapping_comes_after_it(
    database: Db, way: str
) -> None:
    schemas = registry(database, SchemaPolicy(subject_policy(defaults={"old": "mapped"})))
    store(database, schemas, "1", {"old": "sent"})
    store(database, schemas, "2", {"id": 2})
    store(database, schemas, "3", {"new": "n"})
    valuing(schemas, "old", "value")
    aliasing(schemas, "old", "new")

    fill_all(database, schemas, way)

    assert {_id: each["old"] for _id, each in read(database).items()} == {
        "1": "sent",
        "2": "value",
        "3": "n",
    }


def test_documents_are_counted_that_an_alias_fills_and_that_keep_theirs(
    database: Db, way: str
) -> None:
    schemas = registry(database)
    store(database, schemas, "old", {"id": 1, "old": "y"})
    for _id in ("2", "3"):
        store(database, schemas, _id, {"new": _id})
    store(database, schemas, "both", {"new": "a", "old": "b"})
    store(database, schemas, "null", {"new": "a", "old": None})
    aliasing(schemas, "old", "new")

    schema = schemas.compiled("s")
    assert count(database["events"], schema, ("old",), 10) == (2, 2)
    fill_all(database, schemas, way)
    assert count(database["events"], schema, ("old",), 10) == (2, 2)


def test_the_job_fills_by_aliases_and_nothing_is_left_behind(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"old": 1, "id": 1})
    for n in range(2, 12):
        store(database, schemas, str(n), {"new": n, "id": n})
    job = backfill(database, schemas)
    job(Run())
    head = aliasing(schemas, "old", "new")
    assert [(each.fields, each.documents) for each in job.behind()] == [(1, 11)]

    done = job(Run())

    assert (done["documents"], done["failed"], done["remaining"]) == (11, 0, 0)
    assert job.behind() == []
    assert {each["old"] for each in read(database).values()} == set(range(1, 12))
    assert database["events"].count_documents({"_meta.backfilled_to": head.number}) == 11


def test_an_index_that_refuses_copies_keeps_one_document_without_and_no_other(
    database: Db,
) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"old": 1, "id": 1})
    for n in (1, 2, 3):
        store(database, schemas, f"n{n}", {"new": n, "id": n})
    store(database, schemas, "later", {"later": 1, "id": 4})
    database["events"].create_index(
        "old", unique=True, partialFilterExpression={"old": {"$type": "number"}}
    )
    aliasing(schemas, "old", "new")

    done = backfill(database, schemas, AT_ONCE)(Run())

    found = read(database)
    assert (done["documents"], done["unfilled"], done["failed"]) == (5, 1, 0)
    assert {_id: each["old"] for _id, each in found.items()} == {
        "1": 1, "n1": None, "n2": 2, "n3": 3, "later": None,
    }  # fmt: skip
    assert [_id for _id, each in found.items() if "unfilled" in each["_meta"]] == ["n1"]
    # Nothing but the copy is left out.
    assert all("later" in each for each in found.values())


def test_a_map_that_was_undone_leaves_it_open_who_put_a_key_there(database: Db, way: str) -> None:
    store(database, registry(database), "1", {"m": {"old": "x", "b": 1}})
    store(database, registry(database), "2", {"m": {"b": 2}, "new": "z"})
    mapping = registry(database, SchemaPolicy(subject_policy(maps=["m"])))
    store(database, mapping, "3", {"m": {"old": None}, "new": "y"})
    schemas = registry(database)
    schemas.change("s", lambda head, now: unmap(head, ("m",), now))
    fill_all(database, schemas, way)
    aliasing(schemas, "m.old", "new")

    fill_all(database, schemas, way)

    found = read(database)
    assert found["2"]["m"]["old"] == "z"
    # It was a key of a map then: perhaps sent, as it was here.
    assert found["3"]["m"]["old"] is None


def test_a_schema_too_large_for_a_command_is_filled_in_this_process(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"old": {f"f{n}": n for n in range(250)}})
    store(database, schemas, "2", {"new": {f"f{n}": n for n in range(250)}})
    head = aliasing(schemas, "old", "new")
    plan = upgrade(newer_than(schemas.compiled("s"), head.number - 1), head.number - 1, head.number)
    assert plan.pipeline is None

    backfill(database, schemas)(Run())

    assert read(database)["2"]["old"] == read(database)["2"]["new"]


def test_an_alias_that_would_be_refused_on_the_head_of_another_process_makes_no_version(
    database: Db,
) -> None:
    one, two = registry(database), registry(database)
    store(database, one, "1", {"a": 1, "b": 1})
    two.head("s")
    aliasing(one, "a", "x")

    with pytest.raises(SetupError):
        aliasing(two, "x", "a")
