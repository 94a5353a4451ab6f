"""The typed check finds what the walk finds where all is known, and leaves the rest to it."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.schemas.check import Check, CompiledSchema, compile_schema
from consumer.schemas.compile import ObjectNode
from consumer.schemas.policy import Guards
from consumer.schemas.typed import TypedSchemas
from tests.support.strategies import learn, payloads


def named(value: Any) -> Any:
    """The value without characters in keys that msgspec has no fields for."""
    if isinstance(value, list):
        return [named(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        "".join("q" if char in '"\\' or char < " " else char for char in key): named(item)
        for key, item in value.items()
    }


nameable = payloads.map(named)


def findings(check: Check) -> tuple[int, int, list[tuple[int, int]]]:
    gaps = sorted((id(value), id(node)) for value, node in check.gaps)
    return check.exhibited, check.untracked, gaps


def typed(schema: CompiledSchema) -> Any:
    found = TypedSchemas().of(schema.root)
    assert found is not None
    return found


@given(st.lists(nameable, min_size=1, max_size=5), st.lists(nameable, max_size=2), st.data())
def test_it_finds_what_the_walk_finds_or_leaves_it_to_the_walk(
    events: list[dict[str, Any]], others: list[dict[str, Any]], data: st.DataObject
) -> None:
    schema = compile_schema(learn(events))
    check = typed(schema)
    parts = [
        {key: value for key, value in event.items() if data.draw(st.booleans())} for event in events
    ]

    for payload in [*events, *parts, *others]:
        walked, found = schema.check(payload), check(payload)
        assert (found is None) == bool(walked.untracked)
        if found is not None:
            assert findings(found) == findings(walked)


# Each makes something of `known` another type, or adds something.
KNOWN = {
    "text": "a",
    "whole": 1,
    "number": 1.5,
    "flag": True,
    "nothing": None,
    "object": {"a": {"b": 1}},
    "empty": {},
    "list": [1, {"c": "d"}],
    "bare": [],
    "map": {f"6f1b9a2e-0d0c-4f57-9a0c-0242ac12000{n}": {"e": n} for n in range(3)},
}


@pytest.mark.parametrize(
    ("key", "value", "is_known"),
    [
        ("text", "b", True),
        ("text", None, True),
        ("text", 1, False),
        ("whole", 2**70, True),
        ("whole", True, False),
        ("whole", 1.0, False),
        ("whole", "1", False),
        ("number", 3, True),
        ("number", False, False),
        ("flag", 1, False),
        ("nothing", "a", False),
        ("object", {}, True),
        ("object", {"a": {"b": 1, "c": 1}}, False),
        ("object", {"a": {"b": "1"}}, False),
        ("object", [], False),
        ("empty", {"a": 1}, False),
        ("list", [2, None, {"c": None}], True),
        ("list", [2, {"d": 1}], False),
        ("list", [[]], False),
        ("bare", [1], False),
        ("map", {"7f1b9a2e-0d0c-4f57-9a0c-0242ac120000": {"e": 1}}, True),
        ("map", {"7f1b9a2e-0d0c-4f57-9a0c-0242ac120000": {"f": 1}}, False),
        ("other", 1, False),
        ("user5@example.com", 1, False),
    ],
)
def test_what_is_known_by_kind(key: str, value: Any, is_known: bool) -> None:
    schema = compile_schema(learn([KNOWN]))
    payload = {**KNOWN, key: value}

    found = typed(schema)(payload)

    assert (found is not None) == is_known == (not schema.check(payload).untracked)


def test_newest_is_found_in_lists_and_maps_at_any_depth() -> None:
    ids = [f"6f1b9a2e-0d0c-4f57-9a0c-0242ac12000{n}" for n in range(3)]
    first: dict[str, Any] = {"deep": {"list": [{"a": 1}], "map": {ids[0]: {"b": [{"c": 1}]}}}}
    in_list = {"deep": {"list": [{"a": 1}, {"a": 1, "new": 2}]}}
    in_map = {"deep": {"map": {ids[1]: {"b": [{"c": 1, "newer": 2}]}}}}
    first["maps"] = [{ids[0]: {"d": 1}}, {ids[1]: {"d": 1}}]
    in_maps = {"maps": [{ids[2]: {"d": 1, "newest": 2}}]}

    for events in ([first, in_list, in_map], [first, in_map, in_list], [first, in_maps]):
        check = typed(compile_schema(learn(events)))
        assert [check(payload).exhibited for payload in events] == [1, 2, 3][: len(events)]


def test_newest_of_several_keys_and_types_of_an_object_counts() -> None:
    events: list[dict[str, Any]] = [
        {"o": {"a": 1}},
        {"o": {"b": 1}},
        {"o": {"c": 1}},
        {"o": {"b": "text"}},
    ]
    check = typed(compile_schema(learn(events)))
    both = [
        {"a": 1, "b": 1},
        {"b": 1, "c": 1},
        {"c": 1, "b": 1},
        {"b": "text", "c": 1},
        {"c": None},
    ]

    assert [check(event).exhibited for event in events] == [1, 2, 3, 4]
    assert [check({"o": each}).exhibited for each in both] == [2, 3, 3, 4, 3]


def test_a_number_beyond_all_floats_is_a_number() -> None:
    schema = compile_schema(learn([{"number": 1.5, "items": [1.5]}]))

    for payload in ({"number": 10**400}, {"items": [10**400]}):
        assert findings(typed(schema)(payload)) == findings(schema.check(payload))


@pytest.mark.parametrize("key", ['a"b', "a\\b", "a\nb", "a\x01"])
def test_a_version_with_names_that_msgspec_refuses_is_walked(key: str) -> None:
    assert TypedSchemas().of(compile_schema(learn([{"a": {key: 1}}])).root) is None


def test_wide_objects_are_walked() -> None:
    def of(width: int) -> object:
        payload = {"wide": {f"field{n}": n for n in range(width)}}
        guards = Guards(paths_per_subject=1000)
        return TypedSchemas().of(compile_schema(learn([payload], guards=guards)).root)

    assert of(100) is not None
    assert of(101) is None


def root(payload: dict[str, Any]) -> ObjectNode:
    return compile_schema(learn([payload])).root


def test_equal_parts_are_one_in_all_schemas() -> None:
    types = TypedSchemas(most=4)
    part = {"agent": 1, "name": "a"}

    one = types.of(root({"a": part, "b": part, "c": [part, [part]]}))
    other = types.of(root({"a": part, "d": part}))
    # This makes four, and there may be no more.
    last = types.of(root({"e": {"agent": 1, "name": 1}}))

    assert None not in (one, other)
    assert last is None
    assert types.of(root({"a": part, "d": part})) is not None


def test_types_whose_schemas_are_gone_make_room_level_by_level() -> None:
    types = TypedSchemas(most=8)

    for number in range(50):
        # Four types each, none of them in the one before.
        key = f"key{number}"
        check = types.of(root({key: {key: {key: {key: 1}}}}))
        assert check is not None
        assert check({key: {key: {key: {key: 2}}}}) is not None


def test_no_room_is_looked_for_where_all_types_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[None] = []
    monkeypatch.setattr(gc, "collect", lambda: looks.append(None))
    types = TypedSchemas(most=8)

    kept = [types.of(root({f"key{number}": 1})) for number in range(50)]

    assert sum(check is not None for check in kept) == 8
    assert len(looks) == 1
