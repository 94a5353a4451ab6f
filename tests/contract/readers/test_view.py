"""Views on a real MongoDB show what `readers.projection` says, and that is valid by the export."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import bson
import jsonschema
import pytest
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.delivery import Event
from consumer.core.paths import from_text
from consumer.events.documents import Stamp, encode, layout, plain
from consumer.mongodb.client import RAW
from consumer.readers.pins import Mismatch, Pin
from consumer.readers.projection import OURS, Projection, projection_of, shown
from consumer.readers.view import base_pipeline, pipeline
from consumer.schemas.export import json_schema
from consumer.schemas.model import Alias, SchemaVersion
from consumer.schemas.policy import Defaults, Guards
from tests.support.strategies import NOW, learn, payloads

Db = Database[dict[str, Any]]
Document = dict[str, Any]

SUBJECT = "contact.created"


@pytest.fixture(scope="module")
def database_of_module(mongo_client: MongoClient[Document]) -> Iterator[Db]:
    name = f"test_{uuid.uuid4().hex}"
    yield mongo_client[name]
    mongo_client.drop_database(name)


def pin(**more: Any) -> Pin:
    return Pin("r.s", "r", SUBJECT, 1, NOW, "Ada", **more)


def stored(
    payload: Document, number: int = 0, at: int = 1, backfilled_to: int = 1, **more: Any
) -> RawBSONDocument:
    """The document of a payload as ingest lays it out, unfilled unless it is said."""
    stamp = Stamp(SUBJECT, at, 1, NOW, NOW, **more)
    document = layout(f"{number}", Event("1", SUBJECT, payload, "d"), stamp)
    document["_meta"]["backfilled_to"] = backfilled_to
    return encode(document)


def seen(database: Db, documents: Sequence[Any], projection: Projection) -> list[Document]:
    """Documents as the pipeline shows them, and asserts that the pure function says the same."""
    events = database[f"events_{uuid.uuid4().hex}"]
    events.insert_many(documents)
    raw = events.with_options(codec_options=RAW)
    steps = [*base_pipeline(projection), *pipeline(projection), {"$sort": {"_id": 1}}]
    found = [plain(each) for each in raw.aggregate(steps)]
    expected = [shown(projection, plain(each)) for each in raw.find().sort("_id")]
    events.drop()
    for one, other in zip(found, expected, strict=True):
        assert bson.encode(one) == bson.encode(other), (one, other)
    return found


def closed(schema: Any) -> Any:
    """The JSON Schema with no further fields allowed at any level."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: value for key, value in schema.items() if key != "properties"}
    found = {key: closed(value) for key, value in found.items()}
    if "properties" in schema:
        found["properties"] = {key: closed(each) for key, each in schema["properties"].items()}
    if "object" in schema.get("type", ()):
        found.setdefault("additionalProperties", False)
    return found


def as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return int(number) if number == number.to_integral_value() else float(number)
    return value


def check_valid(found: list[Document], version: SchemaVersion, defaults: Defaults) -> None:
    validator = jsonschema.Draft202012Validator(closed(json_schema(version, defaults)))
    for each in found:
        payload = {key: value for key, value in each.items() if key not in OURS}
        validator.validate(as_json(payload))


@given(
    st.lists(payloads, min_size=1, max_size=4),
    st.lists(payloads, max_size=4),
    st.sampled_from(["null", "keep"]),
    st.booleans(),
)
@settings(max_examples=150)
def test_a_view_shows_what_the_function_says_and_that_is_valid(
    database_of_module: Db,
    first: list[Document],
    later: list[Document],
    mismatch: Mismatch,
    typed: bool,
) -> None:
    version, defaults = learn(first), Defaults(typed)
    projection = projection_of(pin(mismatch=mismatch, defaults=defaults), version)
    documents = [stored(each, number) for number, each in enumerate([*first, *later])]

    found = seen(database_of_module, documents, projection)

    assert all(list(each)[3:] == list(projection.fields) for each in found)
    if mismatch == "null":
        check_valid(found, version, defaults)


@given(st.data(), st.lists(payloads, min_size=1, max_size=3), st.lists(payloads, max_size=3))
@settings(max_examples=100)
def test_an_alias_means_the_same_in_both(
    database_of_module: Db, data: Any, first: list[Document], later: list[Document]
) -> None:
    version, head = learn(first), learn([*first, *later])
    old = data.draw(st.sampled_from([f.path for f in version.live if f.is_filled] or [("a",)]))
    new = data.draw(st.sampled_from([f.path for f in head.live if f.is_filled] or [("b",)]))
    value = data.draw(st.sampled_from([None, 7, "text", {}, {"a": 1, "b": {"c": None}}]))
    aliases = [Alias(old, new, None, 2)] * data.draw(st.booleans())
    aliases += [Alias(old, None, value, 2)] * data.draw(st.booleans())
    typed, masks = data.draw(st.booleans()), data.draw(st.booleans())
    hidden = data.draw(st.sampled_from([old, new, ("c",)]))
    projection = projection_of(
        pin(defaults=Defaults(typed), redact=masks),
        version,
        replace(head, aliases=tuple(aliases)),
        lambda path: path == hidden,
    )
    stamps = st.integers(0, head.number)
    documents = [
        stored(
            each,
            number,
            data.draw(stamps),
            data.draw(stamps),
            filled=data.draw(st.lists(st.integers(0, len(head.fields)), max_size=3)),
            untracked=data.draw(st.integers(0, 1)),
        )
        for number, each in enumerate([*first, *later, {}])
    ]

    seen(database_of_module, documents, projection)


def test_each_kind_of_value_is_shown_or_null(database: Db) -> None:
    first = {
        "whole": 1, "number": 1.5, "text": "a", "flag": True, "open": None, "empty": [],
        "many": [{"n": 1, "deep": [[1]]}], "object": {"a": 1, "b.c": {"$d": 1, "": "x"}},
        "either": 1, "$shadowed": 1, "a.b": 1, "": 1, "nothing": {},
    }  # fmt: skip
    version = learn([first, {"either": "text"}])
    projection = projection_of(pin(), version)
    big = Decimal128(Decimal(2**70))
    others = {
        "whole": big, "number": big, "text": 1, "flag": 0, "open": 1, "empty": [1, {"a": 1}],
        "many": [None, 1, {"n": 1.0, "new": 1}, {"deep": [1, [Decimal128("1.5")], [2**40]]}],
        "object": {"b.c": {"": 1, "new": 2, "$d": 5}, "a": {"x": 1}},
        "either": Decimal128("0.5"), "newer": 1, "nothing": {"x": 1},
    }  # fmt: skip
    documents = [stored(first, 0), stored(others, 1), stored({"object": [1], "whole": 1.0}, 2)]

    one, two, three = seen(database, documents, projection)

    own = {name: one[name] for name in OURS}
    hidden: Document = {"open": None, "empty": [], "nothing": {}}
    kept = {key: first[key] for key in ("whole", "number", "text", "flag", "many", "object")}
    assert one == {**own, **kept, **hidden, "either": 1}
    assert list(one) == [*OURS, *(k for k in first if k not in ("$shadowed", "a.b", ""))]
    del two["_id"], three["_id"], own["_id"]
    assert two == {
        **own, **hidden, "whole": big, "number": big, "text": None, "flag": None, "either": None,
        "many": [None, None, {"n": None, "deep": None},
                 {"n": None, "deep": [None, [None], [2**40]]}],
        "object": {"a": None, "b.c": {"$d": 5, "": None}},
    }  # fmt: skip
    nothing = dict.fromkeys(("number", "text", "flag", "open", "empty", "many", "either"))
    assert three == {**own, **nothing, "whole": None, "object": None, "nothing": None}
    assert [(each.path, each.why.split()[0]) for each in projection.not_shown] == [
        (("open",), "no"),
        (("$shadowed",), "it"),
        (("a.b",), "a"),
        (("",), "a"),
    ]


def test_values_of_other_types_are_kept_where_that_is_wanted(database: Db) -> None:
    version = learn([{"n": 1, "o": {"a": "x"}, "l": [1], "open": None}])
    documents = [stored({"n": {"x": 1.5}, "o": {"a": [1], "b": 2}, "l": ["a"], "open": 1})]

    (found,) = seen(database, documents, projection_of(pin(mismatch="keep"), version))

    assert {key: found[key] for key in ("n", "o", "l", "open")} == {
        "n": {"x": 1.5},
        "o": {"a": [1]},
        "l": ["a"],
        "open": None,
    }


def test_what_is_absent_is_the_default_that_was_frozen(database: Db) -> None:
    version = learn(
        [
            {
                "t": "x",
                "o": {"n": 1, "s": "x", "l": [{"k": 1}]},
                "m": 1,
                "geo": {"type": "P", "coordinates": [1]},
            }
        ]
    )
    values = {from_text("m"): "none", from_text("o.s"): "mapped"}
    projection = projection_of(pin(defaults=Defaults(True, values)), version)

    empty, part, filled = seen(
        database,
        [stored({}), stored({"o": {"l": [{}]}, "t": None}, 1), stored({"m": "none", "o": None}, 2)],
        projection,
    )

    assert (empty["t"], empty["m"], empty["geo"]) == ("", "none", None)
    assert empty["o"] == {"n": 0, "s": "mapped", "l": []}
    assert (part["o"], part["t"]) == ({"n": 0, "s": "mapped", "l": [{"k": None}]}, None)
    assert (filled["m"], filled["o"]) == ("none", None)


@pytest.mark.parametrize("new", ["contact", "new.contact"])
def test_a_renamed_field_is_shown_under_its_old_name(database: Db, new: str) -> None:
    version = learn([{"case": {"id": 1, "who": "x"}, "a": {"b": {"c": "x"}}}])
    aliases = [
        Alias(("case",), from_text(new), None, 2),
        Alias(("a", "b", "c"), ("x.y", "z"), None, 2),
        Alias(("a", "b", "c"), None, "given", 2),
        Alias(("a", "b"), ("ended",), None, 2, until=3),
    ]
    moved: Document = {"id": 7, "more": 1}
    moved = {"contact": moved} if new == "contact" else {"new": {"contact": moved}}
    documents = [
        stored({**moved, "x.y": {"z": "far"}}),
        stored({"case": {"id": 1}, **moved, "a": {}}, 1),
        stored({"contact": 5, "new": [{"contact": {"id": 1}}], "a": None, "x.y": {"z": 5}}, 2),
    ]

    one, two, three = seen(
        database, documents, projection_of(pin(), version, replace(version, aliases=tuple(aliases)))
    )

    assert (one["case"], one["a"]) == ({"id": 7, "who": None}, {"b": {"c": "far"}})
    assert (two["case"], two["a"]) == ({"id": 1, "who": None}, {"b": {"c": "given"}})
    assert (three["case"], three["a"]) == (None, None)


def test_a_filling_gives_way_to_an_alias_and_is_no_source_of_one(database: Db) -> None:
    head = learn([{"old": "x", "a": {"b": 1}}, {"new": "x"}])
    positions = {field.path: at for at, field in enumerate(head.fields)}
    old, new = positions["old",], positions["new",]
    aliases = (
        Alias(("old",), ("new",), None, 3),
        Alias(("old",), None, "value", 3),
        Alias(("a", "b"), None, 7, 3),
    )
    a = positions["a",]
    projection = projection_of(
        pin(), learn([{"old": "x", "a": {"b": 1}}]), replace(head, aliases=aliases)
    )

    found = seen(
        database,
        [
            stored({"old": None, "new": "n", "a": None}, 0, filled=[old, a]),
            stored({"old": None, "new": "n", "a": None}, 1),
            stored({"old": "kept", "new": "n", "a": {}}, 2, filled=[old, a]),
            stored({"new": None, "a": {"b": 1}}, 3, filled=[new]),
            stored({"new": None}, 4, backfilled_to=2),
            stored({"new": None}, 5, backfilled_to=2, untracked=1),
        ],
        projection,
    )

    assert [(each["old"], each["a"]) for each in found] == [
        ("n", {"b": 7}),
        (None, None),
        ("kept", {"b": 7}),
        ("value", {"b": 1}),
        ("value", {"b": 7}),
        (None, {"b": 7}),
    ]


def test_masked_values_are_hidden_and_what_may_hold_them(database: Db) -> None:
    version = learn(
        [{"name": "x", "n": 1, "note": "x", "o": {"name": "x", "b": 1}, "l": [{"name": "x"}]}]
    )
    hides = lambda path: path[-1] in ("name", "n")  # noqa: E731
    documents = [
        stored({"name": "Ada", "n": 5, "note": ' {"name": "Ada"}', "o": {"name": None, "b": 2}}),
        stored({"note": "plain", "n": {"name": "Ada"}, "l": [{"name": "Ada"}], "o": ["Ada"]}, 1),
    ]

    for mismatch in ("null", "keep"):
        one, two = seen(
            database,
            documents,
            projection_of(pin(redact=True, mismatch=mismatch), version, None, hides),
        )
        assert (one["name"], one["n"], one["note"]) == ("********", None, "********")
        assert one["o"] == {"name": None, "b": 2}
        assert (two["name"], two["note"], two["n"], two["o"]) == (None, "plain", None, None)
        assert two["l"] == [{"name": "********"}]
    (bare, _) = seen(database, documents, projection_of(pin(), version, None, hides))
    assert bare["name"] == "Ada"


def wide(paths: int = 300, levels: int = 12) -> Document:
    """A payload of so many paths, arrays of objects and odd keys among them."""
    deep: Any = {"leaf": 1}
    for level in range(levels - 2):
        deep = {f"l{level}": [deep] if level % 3 == 0 else deep, "odd.$": "x"}
    payload: Document = {"deep": deep}
    for number in range(paths - 3 * levels):
        group = payload.setdefault(f"group{number % 30}", {})
        group[f"field {number}"] = [1, "text", True, 1.5, {"$k": [{"v": None}]}][number % 5]
    return payload


def test_a_wide_and_deep_schema_is_shown_whole(database: Db) -> None:
    payload = wide()
    version = learn([payload])
    assert len(version.live) >= 300
    assert max(len(field.path) for field in version.live) >= 12
    projection = projection_of(pin(), version)

    (found,) = seen(database, [stored(payload)], projection)

    assert {key: found[key] for key in payload} == payload
    assert {each.why for each in projection.not_shown} <= {"no type is known"}


@pytest.mark.parametrize("kind", ["objects", "arrays", "odd", "maps", "mixed"])
def test_what_lies_too_deep_for_mongodb_is_null_and_named(database: Db, kind: str) -> None:
    value: Any = 1
    for level in range(70):
        steps: dict[str, Any] = {
            "objects": {"a": value},
            "arrays": [value],
            "odd": {"a.b": value},
            "maps": {"*": value},
        }
        value = steps[kind if kind != "mixed" else ("objects", "arrays", "odd")[level % 3]]
    version = learn([{"top": value, "beside": 1}], guards=Guards(depth=100))
    projection = projection_of(pin(defaults=Defaults(True)), version)
    database.create_collection("r.s", viewOn="events", pipeline=pipeline(projection))
    database["events"].insert_one(stored({"top": value, "beside": 1}))

    (found,) = seen(database, [stored({"top": value, "beside": 1})], projection)

    assert next(iter(database["r.s"].find()))["beside"] == found["beside"] == 1
    assert database.command("explain", {"find": "r.s"})["ok"]
    (cut,) = projection.not_shown
    assert cut.why == "it lies deeper than MongoDB takes"
    check_valid([found], version, Defaults(True))
