"""Objects of many scalars are looked up in one table, which means what a check for each does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from consumer.core.paths import Path
from consumer.readers.pins import Mismatch
from consumer.readers.projection import projection_of
from consumer.readers.view import pipeline
from consumer.schemas.policy import Defaults
from tests.contract.readers.test_view import Db, Document, check_valid, pin, seen, stored
from tests.support.strategies import NOW, learn

# Names of types among them, which a table writes before a key.
KEYS = ("a", "b", "c", "inta", "longer", "stringa", "", "a.b", "$d", "é", " ")
SENT = st.sampled_from([None, True, 0, 12, 2**40, 1.0, 12.5, "", "text", '{"a": 1}'])
OTHERS = st.sampled_from(
    [
        *map(Decimal128, ("12", "0.5", "1E+3", "NaN", "Infinity", str(2**70))),
        {},
        {"a": 1},
        [],
        [1],
        NOW,
        bson.ObjectId(),
        bson.Regex("a"),
        b"a",
        bson.Timestamp(1, 1),
        bson.MinKey(),
        bson.Code("a"),
        bson.Code("a", {"b": 1}),
    ]
)
MAPPED = Defaults(False, {("o", "a"): 7, ("o", "c"): "x"})
OBJECTS = st.dictionaries(st.sampled_from(KEYS), SENT, min_size=6)
# A table is made where no path below says something else.
FULL = st.fixed_dictionaries(dict.fromkeys(KEYS, SENT))


@pytest.fixture(scope="module")
def database_of_module(mongo_client: MongoClient[Document]) -> Iterator[Db]:
    name = f"test_{uuid.uuid4().hex}"
    yield mongo_client[name]
    mongo_client.drop_database(name)


def around(inner: Document) -> Document:
    return {
        "o": {**inner, "deep": inner, "many": [inner]},
        "l": [inner, {}],
        "m": {"*": inner, "k": inner},
    }


@given(
    st.lists(FULL | OBJECTS, min_size=1, max_size=3),
    st.lists(
        st.dictionaries(st.sampled_from([*KEYS, "newer"]), SENT | OTHERS, max_size=12), max_size=4
    ),
    st.sampled_from(["null", "keep"]),
    st.sampled_from(
        [Defaults(), Defaults(True), Defaults(False, {("o", "a"): 7, ("o", "c"): "x"})]
    ),
    st.sampled_from([None, ("o", "b"), ("*",)]),
)
@settings(max_examples=150)
def test_a_table_means_what_a_check_for_each_key_does(
    database_of_module: Db,
    first: list[Document],
    later: list[Document],
    mismatch: Mismatch,
    defaults: Defaults,
    hidden: Path | None,
) -> None:
    version = learn(list(map(around, first)))
    masks = pin(mismatch=mismatch, defaults=defaults, redact=hidden is not None)
    projection = projection_of(masks, version, None, lambda path: path == hidden)
    whole = [*map(around, [*first, *later]), {"o": {}}, {"o": 1, "l": {}, "m": []}, {}]

    found = seen(database_of_module, list(map(stored, whole, range(len(whole)))), projection)

    if mismatch == "null" and not any(isinstance(v, Decimal128) for d in later for v in d.values()):
        check_valid(found, version, defaults)


def test_objects_of_many_scalars_take_one_table_each_and_others_none() -> None:
    few = {f"k{number}": number for number in range(5)}
    version = learn([{"many": {**few, "k5": "x", "open": None}, "few": {**few, "o": {}, "l": [1]}}])

    fields = pipeline(projection_of(pin(), version))[1]["$project"]

    assert "$mergeObjects" in str(fields["many"])
    assert "$many.k5" not in str(fields["many"])
    # What has no type is null, without an expression of its own.
    assert str(fields["many"]).count("open") == 1
    assert "$mergeObjects" not in str(fields["few"])


def test_a_table_takes_no_room_from_what_lies_deep(database_of_module: Db) -> None:
    value: Any = 1
    for level in range(31):
        value = {"below": value, **{f"{level}{number}": number for number in range(7)}}
    version = learn([{"top": value}])
    projection = projection_of(pin(), version)

    (found,) = seen(database_of_module, [stored({"top": value})], projection)

    assert found["top"] == value
    assert projection.not_shown == ()
