"""Filling has one meaning: MongoDB, the pure function, and filling at ingest agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pymongo.database import Database

from consumer.core.errors import Unstorable
from consumer.core.paths import is_reserved
from consumer.events.documents import encode, plain
from consumer.mongodb.indexes import BY_STAMP
from consumer.schemas.defaults import fill, newer_than, unfill
from consumer.schemas.policy import Defaults, SchemaPolicy, SubjectPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.backfill.store import BackfillStore, Upgrade, upgrade
from tests.support.backfill import LONG_AGO, laid_out, payload_part, read, registry, store
from tests.support.strategies import learn, payloads, values

Document = dict[str, Any]
Db = Database[Document]

plain_keys = st.sampled_from(["a", "b", "c", "d"])
# Few keys, so that most documents have the usual form; then all that is hard somewhere.
plain_values = st.recursive(
    st.sampled_from([None, 1, 2.5, "x", [{"a": 1}], []]),
    lambda below: st.dictionaries(plain_keys, below, max_size=4),
    max_leaves=8,
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[SchemaPolicy, list[Document]]:
    """Payloads in the order they come, under defaults by type or by mapping."""
    plain_payloads = st.dictionaries(plain_keys, plain_values, max_size=4)
    kind = draw(st.sampled_from([payloads, plain_payloads]))
    events = draw(st.lists(kind, min_size=2, max_size=5))
    paths = [field.path for field in learn(events).fields] or [("a",)]
    mapped = draw(
        st.dictionaries(st.sampled_from(paths), values | st.sampled_from(["$a", "$$ROOT"]))
    )
    defaults = Defaults(draw(st.booleans()), dict(list(mapped.items())[:3]))
    return SchemaPolicy(SubjectPolicy(defaults=defaults)), events


def clean(database: Db) -> None:
    for name in ("events", "schema_versions", "dead_letter_queue"):
        database[name].delete_many({})


# Each way a document can take through the backfill; the first is how it begins for all.
WAYS = ("by stretches", "by the pipeline", "one by one", "in this process")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories())
def test_backfilled_equals_filled_at_ingest(
    database: Db, way: str, history: tuple[SchemaPolicy, list[Document]]
) -> None:
    policy, events = history
    clean(database)
    schemas = registry(database, policy)
    try:
        for number, payload in enumerate(events):
            store(database, schemas, str(number), payload)
    except Unstorable:
        reject()
    head = schemas.head("s")
    assert head is not None
    before = read(database)

    fill_all(database, schemas, way)

    fresh = registry(database, policy)
    for number, payload in enumerate(events):
        at_ingest = plain(encode(laid_out(fresh, str(number), payload)))
        was, after = before[str(number)], read(database)[str(number)]
        by_the_function = payload_part(was)
        fill(by_the_function, schemas.compiled("s").check(by_the_function))
        assert same(payload_part(after), by_the_function)
        # With defaults by type, what was filled as null stays so when its type becomes known.
        if not policy.general.defaults.typed:
            assert same(payload_part(after), payload_part(at_ingest))
        assert [key for key in after if key in was] == list(was)
        assert after["schema_version"] == was["schema_version"]
        stamps = (was["_meta"].pop("backfilled_to"), after["_meta"].pop("backfilled_to"))
        assert stamps[1] == (head.number if stamps[0] < head.newest_fillable else stamps[0])
        assert after["_meta"] == was["_meta"]
        # What was sent can still be told from what was filled, whenever.
        sent = payload_part(after)
        later = [
            position
            for position, field in enumerate(head.fields)
            if field.since > was["schema_version"]
        ]
        unfill(sent, [*was["_meta"].get("filled", []), *later], head)
        wanted = {key: value for key, value in payload.items() if not is_reserved(key)}
        assert same(sent, plain(encode(wanted)))


def fill_all(database: Db, schemas: SchemaRegistry, way: str) -> None:
    """Fill all that is behind in one of the ways, and no other."""
    database["events"].create_index(BY_STAMP)
    found, stamp = BackfillStore(database["events"]), -1
    head = schemas.head("s")
    assert head is not None
    while (at := found.next_stamp("s", stamp, head.newest_fillable)) is not None:
        stamp = at
        plan = upgrade(newer_than(schemas.compiled("s"), stamp), stamp, head.number)
        ids = found.ids("s", stamp, 0, 100)
        assert plan.pipeline is not None
        if way == "by stretches":
            done = by_stretches(found, plan)
            done += found.apply(found.ids("s", stamp, 0, 100), plan).documents
        elif way == "by the pipeline":
            done = found.apply(ids, plan).documents
        elif way == "one by one":
            # In a batch with one that MongoDB refuses.
            database.command("collMod", "events", validator={})
            refused: Document = {
                "_id": "refused",
                "_meta": {"subject": "s", "backfilled_to": stamp},
            }
            refused |= {"processed_at": LONG_AGO, "schema_version": stamp}
            database["events"].insert_one(refused)
            database.command("collMod", "events", validator={"_id": {"$ne": "refused"}})
            upgraded = found.apply(["refused", *ids], plan)
            done = upgraded.documents
            assert [refusal.document_id for refusal in upgraded.refused] == ["refused"]
            database["events"].delete_one({"_id": "refused"})
        else:
            done = found.apply(ids, replace(plan, pipeline=None)).documents
        assert done == len(ids)


def by_stretches(found: BackfillStore, plan: Upgrade, size: int = 2) -> int:
    """Fill what is usual, and nothing else; how many were."""
    stretches = found.stretches("s", plan.stamp)
    return sum(
        stretches.fill(each, plan.usual) for each in stretches.each(lambda: size) if plan.usual
    )


def same(one: Document, other: Document) -> bool:
    """Equal in every key, value and type, whatever the order of keys."""
    return encode(in_order(one)).raw == encode(in_order(other)).raw


def in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def test_only_what_is_usual_is_filled_by_stretches(database: Db) -> None:
    schemas = registry(database)
    usual: list[Any] = [{"a": 1}, {}, {"a": 2, "b": [{}]}]
    others: list[Any] = [None, "scalar", [{}], [], {"a": 1}]
    kinds = [*others, *usual]
    for number, value in enumerate(kinds):
        store(database, schemas, str(number), {"o": value})
    # One came with the field, to a process that did not know it yet.
    before = schemas.compiled("s").number
    store(database, schemas, "next", {"o": {"next": 1, "later": 1}, "more": 1})
    head = schemas.compiled("s").number
    database["events"].update_many(
        {"_id": {"$ne": "next"}}, {"$set": {"_meta.backfilled_to": before}}
    )
    database["events"].update_one({"_id": "4"}, {"$set": {"o.later": 7}})
    plan = upgrade(newer_than(schemas.compiled("s"), before), before, head)
    database["events"].create_index(BY_STAMP)

    done = by_stretches(BackfillStore(database["events"]), plan)

    after = read(database)
    assert done == len(usual)
    behind = [n for n in range(len(kinds)) if after[str(n)]["_meta"]["backfilled_to"] == before]
    assert [kinds[number] for number in behind] == others
    for number in range(len(others), len(kinds)):
        assert after[str(number)]["more"] is None
        assert after[str(number)]["o"]["later"] is None


STRANGE = ("a.b", "$c", "", "*", "[]", "\\\\*", "0", "4711", " ", "$$ROOT", "é", "plain")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", STRANGE)
def test_a_strange_key_is_filled_where_objects_lead_to_it_and_nowhere_else(
    database: Db, key: str, way: str
) -> None:
    below: list[Any] = [
        {},
        {key: {}},
        {key: None},
        {key: "scalar"},
        {key: [{}]},
        {key: {key: 0}},
        {"o": 1},
    ]
    schemas = registry(database)
    store(database, schemas, "first", {"in": {"o": 1, key: {"o": 1}}, "list": [{}]})
    for number, value in enumerate(below):
        store(database, schemas, str(number), {"in": value, "list": [value]})
    newest = {"in": {"o": 1, key: {"o": 1, key: 1, "new": 1}}, "list": [{key: 1, "new": 1}]}
    store(database, schemas, "newest", {**newest, "top." + key: 1})
    before = read(database)

    fill_all(database, schemas, way)

    after = read(database)
    head = schemas.compiled("s")
    for _id, was in before.items():
        wanted = payload_part(was)
        if "top." + key not in wanted:
            wanted["top." + key] = None
        deepest = wanted["in"].get(key)
        if isinstance(deepest, dict):
            deepest.setdefault(key, None)
            deepest.setdefault("new", None)
        assert same(payload_part(after[_id]), wanted)
        assert after[_id]["list"] == was["list"]
        assert after[_id]["_meta"]["backfilled_to"] == head.number
