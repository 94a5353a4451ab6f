"""One walk tells what is known, which version is exhibited, and where there are gaps."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import to_key, to_segment
from consumer.schemas.check import Check, compile_schema, count
from consumer.schemas.json_types import NAMES, mask_of
from consumer.schemas.maps import is_personal
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Guards
from tests.support.strategies import learn, payloads


def naive_exhibited(payload: dict[str, Any], version: SchemaVersion) -> int:
    """The highest since of all paths and types sent, found path by path."""
    fields = {field.path: field for field in version.live}
    newest = 1

    def look(value: Any, path: tuple[str, ...]) -> None:
        nonlocal newest
        if path:
            if path not in fields and is_personal(to_key(path[-1])):
                return
            field = fields[path]
            name = NAMES.get(mask_of(value))
            since = field.types.get(name, field.types.get("number", 0)) if name else field.since
            newest = max(newest, since)
        if isinstance(value, dict):
            for key, child in value.items():
                star = (*path, "*")
                look(child, star if star in fields else (*path, to_segment(key)))
        elif isinstance(value, list):
            for child in value:
                look(child, (*path, "[]"))

    look(payload, ())
    return newest


@given(st.lists(payloads, min_size=1, max_size=4))
def test_exhibited_is_the_newest_of_what_was_sent(events: list[dict[str, Any]]) -> None:
    head = learn(events)
    schema = compile_schema(head)

    for event in events:
        assert schema.check(event).exhibited == naive_exhibited(event, head)


@given(st.lists(payloads, min_size=1, max_size=3))
def test_the_hot_walk_and_its_careful_twin_agree(events: list[dict[str, Any]]) -> None:
    schema = compile_schema(learn(events))

    for event in events:
        found = Check(exhibited=1)
        count(event, schema.root, found)
        checked = schema.check(event)
        assert (checked.exhibited, checked.unknown, checked.opaque) == (found.exhibited, 0, 0)
        assert checked.data_keys == found.data_keys
        sites = [id(value) for value, _ in checked.gaps]
        assert sorted(sites) == sorted(id(value) for value, _ in found.gaps)


def repeated(value: Any, times: int) -> Any:
    """The value with each of its outer lists so many times as long: it exhibits the same."""
    if isinstance(value, dict):
        return {key: repeated(child, times) for key, child in value.items()}
    if isinstance(value, list):
        return value * times
    return value


@given(st.lists(payloads, min_size=1, max_size=3))
def test_long_lists_are_judged_as_short_ones(events: list[dict[str, Any]]) -> None:
    head = learn(events)
    schema, lacking = compile_schema(head), compile_schema(learn(events[:1]))

    for event in events:
        long = repeated(event, 20)
        assert schema.check(long).exhibited == schema.check(event).exhibited
        assert not schema.check(long).unknown
        assert bool(lacking.check(long).unknown) is bool(lacking.check(event).unknown)


@pytest.mark.parametrize("length", [1, 3, 50])
@pytest.mark.parametrize(("item", "version"), [(1, 1), ("x", 2), ({"b": 1}, 3), ([1], 4)])
def test_what_stands_in_a_list_exhibits_the_version_that_first_knew_its_type(
    item: Any, version: int, length: int
) -> None:
    head = learn([{"a": [1]}, {"a": ["x"]}, {"a": [{"b": 1}]}, {"a": [[1]]}])

    assert compile_schema(head).check({"a": [item] * length}).exhibited == version


@given(payloads, payloads)
def test_a_payload_is_known_exactly_when_it_changes_nothing(
    known: dict[str, Any], other: dict[str, Any]
) -> None:
    head = learn([known])

    after = learn([known, other])

    assert (compile_schema(head).check(other).unknown == 0) is (after == head)


def test_a_container_that_is_not_known_counts_once_with_all_it_holds() -> None:
    schema = compile_schema(learn([{"a": 1, "o": {"x": 1}}]))

    check = schema.check({"a": "other type", "o": {"y": 1}, "new": {"b": {"c": [1, 2]}}})

    assert check.unknown == 3


def test_known_fields_beside_unknown_ones_are_still_judged() -> None:
    schema = compile_schema(learn([{"a": 1}, {"a": 1, "b": {"c": 1, "d": 1}}]))

    check = schema.check({"b": {"c": 1}, "new": 1})

    assert check.unknown == 1
    assert check.exhibited == 2
    assert len(check.gaps) == 2


BESIDE = {"name": 1, "user5@example.com": {"n": 1}, "o": {"x": 1, "y": {"z": 2}}, "end": "x"}


@pytest.mark.parametrize("order", list(permutations(BESIDE)))
def test_addresses_beside_names_are_passed_over_wherever_they_stand(order: tuple[str, ...]) -> None:
    known = {**BESIDE, "o": {"x": 1, "y": {"z": 2, "absent": 1}}, "absent": 1}
    schema = compile_schema(learn([known]))
    payload = {key: BESIDE[key] for key in order} | {"+15551234567": 1}

    check = schema.check(payload)

    assert (check.unknown, check.data_keys, check.untracked) == (0, 2, 2)
    assert [value for value, _ in check.gaps] == [{"z": 2}, payload]


def test_what_is_new_is_found_beside_and_below_keys_that_are_passed_over() -> None:
    schema = compile_schema(learn([{"o": {"x": 1}, "a": 1}]))

    assert schema.check({"user5@example.com": 1, "o": {"x": 1, "new": 1}}).unknown == 1
    assert schema.check({"user5@example.com": 1, "new": 1}).unknown == 1
    assert schema.check({"user5@example.com": 1, "a": "other"}).unknown == 1
    assert schema.check({"o": {"user5@example.com": 1, "x": []}}).unknown == 1


@pytest.mark.parametrize("first", [[], {}])
@pytest.mark.parametrize("items", [[1], [None], [[]], [{}], [1] * 20])
def test_the_first_item_of_an_array_that_never_had_one_is_new(
    first: list[Any] | dict[str, Any], items: list[Any]
) -> None:
    schema = compile_schema(learn([{"a": first}, {"a": []}, {"a": {}}]))

    assert schema.check({"a": []}).unknown == schema.check({"a": {}}).unknown == 0
    assert schema.check({"a": items}).unknown > 0


def nested(levels: int, leaf: Any) -> dict[str, Any]:
    value = leaf
    for _ in range(levels):
        value = {"k": value}
    assert isinstance(value, dict)
    return value


def test_below_the_tracked_depth_everything_is_opaque_and_counted() -> None:
    deep = nested(40, 1)
    head = learn([deep])
    schema = compile_schema(head, depth=32)

    assert max(len(field.path) for field in head.fields) == 32
    assert (schema.check(deep).unknown, schema.check(deep).opaque) == (0, 1)
    assert schema.check(nested(32, 1)).untracked == 1  # a scalar where an object was known
    assert schema.check(nested(32, {})).untracked == 0


def test_arrays_at_the_tracked_depth_are_opaque_too() -> None:
    guards = Guards(depth=2)
    payload = {"a": {"b": [[1]]}, "c": [[1], []]}
    schema = compile_schema(learn([payload], guards=guards), depth=2)

    assert schema.check(payload).unknown == 0
    assert schema.check(payload).opaque == 2


def test_without_a_version_every_top_level_field_is_untracked() -> None:
    check = compile_schema(None).check({"a": 1, "b": {"c": 1}})

    assert (check.exhibited, check.unknown, check.gaps) == (0, 2, [])


def test_a_map_takes_any_key() -> None:
    schema = compile_schema(learn([{"m": {"4711": {"n": 1}, "4712": {"n": 1}}}]))

    assert schema.check({"m": {"anything": {"n": 2}}}).unknown == 0
    assert schema.check({"m": {"anything": {"n": "x"}, "more": 1}}).unknown == 2


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize("wrap", ["array", "map"])
def test_what_stands_in_arrays_inside_arrays_is_checked(times: int, wrap: str) -> None:
    def payload(item: Any) -> dict[str, Any]:
        inner = [item] * times
        outer = [inner] * times if wrap == "array" else {f"{n:036x}": inner for n in range(times)}
        return {"m": outer}

    head = learn([payload(1), payload("text"), payload([True])])
    schema = compile_schema(head)

    assert [schema.check(payload(item)).exhibited for item in (1, "text", [True])] == [1, 2, 3]
    assert not any(schema.check(payload(item)).unknown for item in (1, "text", [True], None))
    assert schema.check(payload({"key": 1})).unknown
    assert schema.check(payload([[True]])).unknown
