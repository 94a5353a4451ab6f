"""Filling equals its definition, can be undone, and respects what was sent."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import Path, is_fillable, to_key
from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import fill, unfill
from consumer.schemas.fillable import fills
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults, subject_policy
from tests.support.strategies import learn, payloads, values


def naive_fill(payload: dict[str, Any], version: SchemaVersion, defaults: Defaults) -> list[int]:
    """The definition: each fillable path, parents first, where its parent is an object."""
    filled = []
    filling = fills(version, defaults)
    entries = {version.fields[at].path for at, fill in filling.items() if fill.entries}
    # Empty objects whose keys may be data, as they were found.
    empty: dict[Path, bool] = {}
    positions = sorted(range(len(version.fields)), key=lambda at: len(version.fields[at].path))
    for position in positions:
        field = version.fields[position]
        if field.absorbed is not None or not is_fillable(field.path):
            continue
        parent: Any = payload
        for segment in field.path[:-1]:
            parent = parent.get(to_key(segment)) if isinstance(parent, dict) else None
        key = to_key(field.path[-1])
        if field.path[:-1] in entries and empty.setdefault(field.path[:-1], not parent):
            continue
        if isinstance(parent, dict) and key not in parent:
            parent[key] = copy.deepcopy(filling[position].value)
            filled.append(position)
    return sorted(filled)


@st.composite
def cases(draw: st.DrawFn) -> tuple[SchemaVersion, Defaults, dict[str, Any]]:
    events = draw(st.lists(payloads, min_size=1, max_size=4))
    version = learn(events)
    paths = st.sampled_from([field.path for field in version.fields] or [("a",)])
    mapped = draw(st.dictionaries(paths, values, max_size=3))
    payload = draw(st.sampled_from(events) | payloads)
    return version, Defaults(draw(st.booleans()), mapped), copy.deepcopy(payload)


@given(cases())
def test_fill_equals_its_definition(
    case: tuple[SchemaVersion, Defaults, dict[str, Any]],
) -> None:
    version, defaults, payload = case
    expected = copy.deepcopy(payload)
    expected_positions = naive_fill(expected, version, defaults)

    positions = fill(payload, compile_schema(version, defaults).check(payload)).positions

    assert payload == expected
    assert positions == expected_positions


@given(cases())
def test_unfill_gives_back_what_was_sent_in_its_order(
    case: tuple[SchemaVersion, Defaults, dict[str, Any]],
) -> None:
    version, defaults, payload = case
    sent = copy.deepcopy(payload)

    positions = fill(payload, compile_schema(version, defaults).check(payload)).positions
    unfill(payload, positions, version)

    assert repr(payload) == repr(sent)


@given(cases())
def test_filling_twice_fills_nothing_more(
    case: tuple[SchemaVersion, Defaults, dict[str, Any]],
) -> None:
    version, defaults, payload = case
    schema = compile_schema(version, defaults)
    fill(payload, schema.check(payload))

    assert fill(payload, schema.check(payload)).positions == []


@given(cases())
def test_filling_never_makes_anything_new(
    case: tuple[SchemaVersion, Defaults, dict[str, Any]],
) -> None:
    version, defaults, payload = case
    schema = compile_schema(version, Defaults(typed=defaults.typed))
    check = schema.check(payload)
    unknown = check.unknown

    fill(payload, check)

    assert schema.check(payload).unknown == unknown


SAMPLE = {
    "text": "x",
    "whole": 1,
    "real": 1.5,
    "flag": True,
    "list": [{"in_item": 1}],
    "object": {"inner": "x", "deeper": {"leaf": 1}},
    "open": None,
    "map": {"4711": {"n": 1}, "4712": {"n": 1}},
    "a.b": 1,
    "$op": 1,
    "_id": 1,
    "*": 1,
    "[]": {"": 1},
}


def filled(payload: dict[str, Any], defaults: Defaults) -> dict[str, Any]:
    schema = compile_schema(learn([SAMPLE]), defaults)
    fill(payload, schema.check(payload))
    return payload


def test_absent_fields_become_null_and_nothing_goes_below_null() -> None:
    expected = {key: None for key in SAMPLE if key not in ("$op", "_id")}

    assert filled({}, Defaults()) == expected


def test_typed_defaults_fill_objects_downwards_but_neither_maps_nor_arrays() -> None:
    assert filled({}, Defaults(typed=True)) == {
        "text": "",
        "whole": 0,
        "real": 0,
        "flag": False,
        "list": [],
        "object": {"inner": "", "deeper": {"leaf": 0}},
        "open": None,
        "map": {},
        "a.b": 0,
        "*": 0,
        "[]": {"": 0},
    }


def test_typed_defaults_are_null_where_the_type_is_not_single() -> None:
    schema = compile_schema(learn([{"a": 1}, {"a": "x"}, {"b": 1}]), Defaults(typed=True))
    payload = {"b": 1}

    fill(payload, schema.check(payload))

    assert payload == {"b": 1, "a": None}


@pytest.mark.parametrize(
    ("events", "default"),
    [
        ([{"a": []}], []),
        ([{"a": []}, {"a": {"b": 1}}], {"b": 0}),
        ([{"a": {"b": 1}}, {"a": []}], {"b": 0}),
        ([{"a": []}, {"a": {}}, {"a": [1]}], None),
        ([{"a": []}, {"a": {}}, {"a": "x"}], None),
        ([{"a": []}, {"a": "x"}], None),
    ],
)
def test_an_array_that_never_had_an_item_is_no_type_beside_an_object(
    events: list[dict[str, Any]], default: Any
) -> None:
    schema = compile_schema(learn([*events, {"z": 1}]), Defaults(typed=True))
    payload: dict[str, Any] = {"z": 1}

    fill(payload, schema.check(payload))

    assert payload == {"z": 1, "a": default}


def test_an_explicit_null_a_scalar_and_a_foreign_type_are_left_alone() -> None:
    sent = {**SAMPLE, "object": None, "[]": "a scalar now", "list": [{}], "map": {"x": {}}}

    assert filled(copy.deepcopy(sent), Defaults(typed=True)) == sent


def test_mapped_defaults_win_and_are_copied() -> None:
    policy = subject_policy(typed=True, defaults={"object": {"x": [1]}, "text": 7, "open": "o"})
    first = filled({}, policy.defaults)
    second = filled({}, policy.defaults)

    first["object"]["x"].append(2)

    assert second["object"] == {"x": [1], "inner": "", "deeper": {"leaf": 0}}
    assert (second["text"], second["open"]) == (7, "o")


def test_an_object_inside_a_mapped_default_is_filled_downwards_too() -> None:
    version = learn([{"level": {"c": {"a": 1}}}])
    schema = compile_schema(version, Defaults(values={("level",): {"c": {}}}))
    payload: dict[str, Any] = {}

    positions = fill(payload, schema.check(payload)).positions

    assert payload == {"level": {"c": {"a": None}}}
    assert fill(payload, schema.check(payload)).positions == []
    unfill(payload, positions, version)
    assert payload == {}


@pytest.mark.parametrize(
    ("events", "newest"),
    [
        ([{"a": 1}], 1),
        ([{"a": 1}, {"a": {"b": 1}}], 2),
        ([{"a": 1}, {"b": [1]}, {"b": [{"c": 1}]}, {"b": "x"}], 2),
        ([{"a": 1}, {"_id": 1}, {"$x": 1}], 1),
        ([{"a": 1, "m": {}}, {"m": {"4711": 1, "4712": 1}}], 1),
        ([{"$x": 1}], 0),
    ],
)
def test_newest_fillable_is_the_last_version_that_added_a_plain_path(
    events: list[dict[str, Any]], newest: int
) -> None:
    assert learn(events).newest_fillable == newest
