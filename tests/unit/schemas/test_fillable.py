"""Fillings of fields, and fields beyond the bound on filling."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import bson
import pytest

from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import Filled, fill
from consumer.schemas.fillable import fills
from consumer.schemas.model import Field, SchemaVersion
from consumer.schemas.policy import Defaults
from tests.support.strategies import learn

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)


def of_names(*names: str) -> SchemaVersion:
    fields = tuple(Field((name,), 1, {"string": 1}) for name in names)
    return SchemaVersion("s", 1, fields, (), NOW)


def filled(
    version: SchemaVersion, defaults: Defaults, payload: dict[str, Any] | None = None
) -> tuple[dict[str, Any], Filled]:
    payload = {} if payload is None else payload
    return payload, fill(payload, compile_schema(version, defaults).check(payload))


def test_no_more_fields_are_filled_than_the_bound_says_the_first_ones_in_order() -> None:
    document, what = filled(of_names("a", "b", "c", "d"), Defaults(max_fields=2))

    assert document == {"a": None, "b": None}
    assert what.left_out


def test_a_thousand_fields_are_filled_and_the_next_one_is_not() -> None:
    names = [f"k{number}" for number in range(1001)]

    document, what = filled(of_names(*names), Defaults())

    assert list(document) == names[:1000]
    assert what.left_out


@pytest.mark.parametrize("value", [None, "x" * 30, 7, 1.5, True, [1, "a"], {"x": {"y": [None]}}])
def test_what_is_filled_with_what_tells_it_stays_within_the_bytes_of_the_bound(value: Any) -> None:
    names = [f"name {number:04}" for number in range(900)]
    defaults = Defaults(values={(name,): value for name in names}, max_bytes=5_000)

    document, what = filled(of_names(*names), defaults)

    grown = bson.encode({**document, "_meta": {"filled": what.positions}})
    added = len(grown) - len(bson.encode({"_meta": {"filled": []}}))
    assert 0.75 * 5_000 < added <= 5_000
    assert list(document) == names[: len(document)]


def test_the_bound_to_the_byte() -> None:
    version = of_names("ab", "cd")
    one = len(b"ab") + 12

    assert len(filled(version, Defaults(max_bytes=2 * one))[0]) == 2
    assert len(filled(version, Defaults(max_bytes=2 * one - 1))[0]) == 1
    assert filled(version, Defaults(max_bytes=one - 1))[0] == {}


def test_one_that_does_not_fit_leaves_room_for_those_after_it() -> None:
    defaults = Defaults(values={("b",): "x" * 2000}, max_bytes=200)

    document, _ = filled(of_names("a", "b", "c"), defaults)

    assert document == {"a": None, "c": None}


def test_a_field_whose_own_filling_is_large_is_filled_only_where_a_default_names_it() -> None:
    just, over = "x" * (256 - 12), "y" * (257 - 12)

    assert list(filled(of_names(just, over, "z"), Defaults())[0]) == [just, "z"]
    assert filled(of_names(over), Defaults(values={(over,): 1}))[0] == {over: 1}
    assert filled(of_names("z"), Defaults(values={("z",): "v" * 1000}))[0] == {"z": "v" * 1000}


def test_a_field_beyond_the_bound_is_left_out_only_of_documents_that_lack_it() -> None:
    defaults = Defaults(max_fields=1)

    assert filled(of_names("a", "b"), defaults, {"b": "sent"})[1] == Filled([0])
    assert filled(of_names("a", "b"), defaults, {"a": "sent"})[1] == Filled([], left_out=True)
    assert filled(of_names("a", "b"), defaults, {"a": "x", "b": "y"})[1] == Filled()


def test_retired_and_absorbed_fields_take_no_room() -> None:
    fields = (
        Field(("a",), 1, {"string": 1}, retired=2),
        Field(("m", "1"), 1, {"string": 1}, absorbed=2),
        Field(("b",), 1, {"string": 1}),
    )

    document, _ = filled(SchemaVersion("s", 2, fields, (), NOW), Defaults(max_fields=1))

    assert document == {"b": None}


def test_nothing_is_filled_where_nobody_wants_it() -> None:
    document, what = filled(of_names("a", "b"), Defaults(nothing=True))

    assert document == {}
    assert what == Filled([], left_out=True)


@pytest.mark.parametrize(
    ("known", "fill"),
    [
        ({"name": "x", "level": 1}, {"name": "", "level": 0}),
        ({"name": "x", "550e8400-e29b-41d4-a716-446655440000": {"x": 1}}, {}),
        ({"name": "x", "inner": {"deep": {"2026-01-02": 1}}}, {}),
        ({"name": "x", "list": [{"name": 1, "order-0001": 1}]}, {}),
        # A weak one is enough.
        ({"name": "x", "order-0001": 1}, {}),
    ],
)
def test_typed_defaults_invent_no_entries_in_an_absent_object(
    known: dict[str, Any], fill: dict[str, Any]
) -> None:
    document, _ = filled(learn([{"o": known, "a": 1}]), Defaults(typed=True))

    assert document == {"o": fill, "a": 0}


def test_an_object_inside_a_mapped_default_gets_no_entries_either() -> None:
    version = learn([{"o": {"name": "x", "2026-01-02": 1}}])

    document, _ = filled(version, Defaults(values={("o",): {}}))

    assert document == {"o": {}}


@pytest.mark.parametrize(
    ("known", "is_geojson"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, True),
        ({"type": "GeometryCollection", "geometries": [{"type": "Point"}]}, True),
        ({"type": "Point", "coordinates": [1, 2], "accuracy": 3}, True),
        ({"coordinates": [1, 2]}, False),
        ({"type": "Point"}, False),
    ],
)
def test_typed_defaults_make_no_geojson(known: dict[str, Any], is_geojson: bool) -> None:
    version = learn([{"in": {"place": known}}])

    document, _ = filled(version, Defaults(typed=True))

    assert (document["in"]["place"] is None) is is_geojson
    named = Defaults(typed=True, values={("in", "place"): {"type": "none"}})
    assert filled(version, named)[0]["in"]["place"]["type"] == "none"


def test_a_field_stays_filled_when_others_come() -> None:
    few = of_names("a", "b")
    many = SchemaVersion(
        "s", 2, (*few.fields, *(Field((f"k{n}",), 2, {"string": 2}) for n in range(50))), (), NOW
    )
    defaults = Defaults(max_fields=20)

    first, second = fills(few, defaults), fills(many, defaults)

    assert {n: fill.beyond for n, fill in second.items()}.items() >= {
        n: fill.beyond for n, fill in first.items()
    }.items()
    assert sum(not fill.beyond for fill in second.values()) == 20
