"""A view shows the same of a document before and after a backfill, and what ingest would have
stored: what we filled in, and what an alias puts there, is one rule for all of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from consumer.core.paths import is_reserved
from consumer.events.documents import encode, plain
from consumer.readers.pins import Pin
from consumer.readers.projection import OURS, projection_of
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults, SchemaPolicy, SubjectPolicy, subject_policy
from tests.contract.backfill.test_aliasing import (
    WAYS,
    aliasing,
    fill_all,
    histories,
    meddled_with,
    meddling,
    restored,
    stored_by,
    take_over,
)
from tests.contract.backfill.test_filling import clean, same
from tests.contract.readers.test_view import seen
from tests.support.aliases import aliased, model
from tests.support.backfill import read, registry, store
from tests.support.strategies import NOW

Document = dict[str, Any]
Db = Database[Document]
SLOW = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
fillings = st.builds(
    Defaults,
    typed=st.booleans(),
    values=st.dictionaries(
        st.sampled_from([("a",), ("b",), ("a", "b")]),
        st.sampled_from([None, 0, "x", {}, {"b": 1, "a.b": None}, [1]]),
        max_size=1,
    ),
)


def pinned(version: SchemaVersion, head: SchemaVersion, filling: Defaults) -> Any:
    pin = Pin("r.s", "r", "s", version.number, NOW, "Ada", defaults=filling)
    return projection_of(pin, version, head)


def shown_now(database: Db, projection: Any) -> dict[Any, Document]:
    documents = [encode(each) for each in read(database).values()]
    found = seen(database, documents, projection)
    return {
        each["_id"]: {key: value for key, value in each.items() if key not in OURS}
        for each in found
    }


@pytest.mark.slow
@SLOW
@given(events=histories, at=st.integers(0, 4), how=meddling, filling=fillings, data=st.data())
def test_a_view_shows_before_a_backfill_what_it_shows_after_it(
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
    restored(database, before)
    head = schemas.refreshed("s")
    assert head is not None
    # Types that came later are another default, which the pin does not know.
    number = head.number if filling.typed else data.draw(st.integers(1, head.number))
    version = schemas.version("s", number)
    assert version is not None
    projection = pinned(version, head, filling)

    first = shown_now(database, projection)
    fill_all(database, schemas, data.draw(st.sampled_from(WAYS)))

    assert shown_now(database, projection) == first


@pytest.mark.slow
@SLOW
@given(events=histories, at=st.integers(-1, 4), data=st.data())
def test_a_view_shows_what_ingest_would_have_stored(
    database: Db, events: list[Document], at: int, data: st.DataObject
) -> None:
    clean(database)
    schemas, filling = registry(database), Defaults()
    stored_by(database, schemas, events, at)
    head = schemas.head("s")
    assert head is not None
    take_over(schemas, data.draw(aliased(head)))
    head = schemas.refreshed("s")
    assert head is not None
    projection = pinned(head, head, filling)

    found = shown_now(database, projection)

    for number, payload in enumerate(events):
        sent = {key: value for key, value in payload.items() if not is_reserved(key)}
        stored = {"_id": "x", **plain(encode(model(sent, head, filling)))}
        expected = seen(database, [encode({**stored, "_meta": {"subject": "s"}})], projection)
        assert same(found[str(number)], {k: v for k, v in expected[0].items() if k not in OURS})


TYPED = SchemaPolicy(subject_policy(typed=True))
KNOWN: Document = {"old": {"a": "x", "l": [1], "m": {"k": 1}}, "flat": "x"}


@pytest.mark.parametrize("policy", [SchemaPolicy(), TYPED], ids=["null", "typed"])
@pytest.mark.parametrize(
    ("old", "new", "sent"),
    [
        ("old", "new", {"new": {"a": "y"}}),
        ("old", "new", {"new": {"a": 5, "l": [2]}}),
        ("old", "new", {"new": {"a": "y", "l": ["text"]}}),
        ("old", "new", {"new": {"a": "y", "more": {"b": 1}}}),
        ("old", "new", {"new": {"m": {"k": "text"}}}),
        ("old", "new", {"new": ["y"]}),
        ("old.l", "list", {"list": [1, "text"]}),
        ("old.l", "list", {"list": [2], "old": {}}),
        ("old.l", "list", {"list": [2], "old": None}),
        ("old.m", "new", {"new": {"k": 2}, "flat": "y"}),
        ("flat", "new.deep", {"new": {"deep": "y"}, "flat": None}),
        ("flat", "new.deep", {"new": {"deep": None}}),
        ("flat", "new.deep", {"new": {"other": 1}}),
        ("flat", "new.deep", {"new": "text"}),
    ],
)
def test_what_an_alias_fills_is_one_in_views_backfill_and_ingest(
    database: Db, policy: SchemaPolicy, old: str, new: str, sent: Document
) -> None:
    schemas = registry(database, policy)
    store(database, schemas, "before", sent)
    store(database, schemas, "known", KNOWN)
    store(database, schemas, "between", sent)
    wider = {"new": {"deep": "x", "a": "z"}, "list": [5]}
    store(database, schemas, "wider", wider)
    fill_all(database, schemas, "by ids")
    head = aliasing(schemas, old, new)
    filling = policy.of("s").defaults
    projection = pinned(head, head, filling)

    first = shown_now(database, projection)
    store(database, schemas, "after", sent)
    fill_all(database, schemas, "by ids")
    then = shown_now(database, projection)

    assert then == {**first, "after": then["after"]}
    assert then["before"] == then["between"] == then["after"]
