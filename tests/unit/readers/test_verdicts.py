"""A program that reads one version is broken by what is other than it knows, and by that alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import ANY_KEY, ITEM, from_text, to_text
from consumer.readers.verdicts import Sight
from consumer.schemas.evolution import diff
from consumer.schemas.json_types import INTEGER, NUMBER, STRING
from consumer.schemas.model import Change
from tests.support.strategies import learn, payloads


def broken(pinned: list[dict[str, Any]], then: list[dict[str, Any]], *uses: str) -> dict[str, str]:
    """The paths at which what came `then` breaks a reader of what was `pinned`, with the class."""
    version, head = learn(pinned), learn([*pinned, *then])
    sight = Sight("billing", version, [*map(from_text, uses)])
    return {to_text(each.path): each.change.kind for each in sight.breaches(diff(version, head))}


COMPATIBLE = {
    "a new field": ([{"a": 1}], [{"b": 1}]),
    "new keys below a known object": ([{"o": {"x": 1}}], [{"o": {"y": "t"}}]),
    "a map made": ([{"o": {"k": 1}}], [{"o": {f"{n}": 1 for n in range(600)}}]),
    "the first type of an open path": ([{"a": None}], [{"a": "t"}]),
    "a conflict at a path that had no type": ([{"a": None}], [{"a": "t"}, {"a": 1}]),
    "first items": ([{"a": []}], [{"a": ["t"]}]),
    "[] at an object": ([{"o": {"x": 1}}], [{"o": []}]),
    "an integer where numbers are known": ([{"a": 1.5}], [{"a": 2}]),
    "a conflict at a field that is not known": ([{"a": 1}], [{"b": 1}, {"b": "t"}]),
    "a further type that is known already": ([{"a": 1}, {"a": "t"}], [{"a": "u"}]),
}
BREAKS = {
    "integer to number": ([{"a": 1}], [{"a": 1.5}], {"a": "type_widened"}),
    "another type": ([{"a": 1}], [{"a": "t"}], {"a": "type_conflict"}),
    "another type in a nested field": (
        [{"o": {"x": [{"y": 1}]}}],
        [{"o": {"x": [{"y": True}]}}],
        {"o.x[].y": "type_conflict"},
    ),
    "an object where a text was": ([{"a": "t"}], [{"a": {"x": 1}}], {"a": "type_conflict"}),
    "items where an object was": ([{"o": {"x": 1}}], [{"o": [1]}], {"o": "type_conflict"}),
    "another type behind a key of what became a map": (
        [{"o": {"k": 1}}],
        [{"o": {f"{n}": 1 for n in range(600)}}, {"o": {"other": "t"}}],
        {"o.k": "type_conflict"},
    ),
}


@pytest.mark.parametrize(("pinned", "then"), COMPATIBLE.values(), ids=COMPATIBLE)
def test_what_a_reader_does_not_see_does_not_break_it(
    pinned: list[dict[str, Any]], then: list[dict[str, Any]]
) -> None:
    assert broken(pinned, then) == {}


@pytest.mark.parametrize(("pinned", "then", "at"), BREAKS.values(), ids=BREAKS)
def test_what_is_other_than_it_knows_breaks_a_reader(
    pinned: list[dict[str, Any]], then: list[dict[str, Any]], at: dict[str, str]
) -> None:
    assert at.items() <= broken(pinned, then).items()


@pytest.mark.parametrize(
    ("known", "then", "at"),
    [
        # Items where an empty array stood for an object break those who know that.
        ([{"o": {"x": 1}}], [{"o": []}, {"o": ["t"]}], [[], ["o"]]),
        ([{"o": {"x": 1}}, {"o": ["t"]}], [{"o": [1]}], [["o[]"]]),
        # Who knew no type, or no items, is shown none.
        ([{"a": None}], [{"a": "t"}, {"a": 1}], [[], []]),
        ([{"l": []}], [{"l": ["t"]}, {"l": [1]}], [[], []]),
    ],
)
def test_each_step_breaks_those_who_know_what_it_changes(
    known: list[dict[str, Any]], then: list[dict[str, Any]], at: list[list[str]]
) -> None:
    steps = [learn([*known, *then[:count]]) for count in range(len(then) + 1)]
    sight = Sight("r", steps[0])

    found = [[to_text(each.path) for each in sight.breaches(step.changes)] for step in steps[1:]]

    assert found == at


@pytest.mark.parametrize(
    ("uses", "at"),
    [
        (("other",), set()),
        (("o.x",), {"o.x"}),
        (("o",), {"o.x"}),
        (("o.x.deeper",), {"o.x"}),
        (("o.y", "o.x"), {"o.x"}),
    ],
)
def test_a_reader_is_broken_only_in_what_it_uses(uses: tuple[str, ...], at: set[str]) -> None:
    pinned = [{"o": {"x": 1, "y": 1}, "other": 1}]

    assert set(broken(pinned, [{"o": {"x": "t"}}], *uses)) == at


def test_a_key_of_what_was_a_map_breaks_those_who_know_its_values() -> None:
    sight = Sight("r", learn([{"m": {f"{n}": 1 for n in range(600)}}]))

    def at(*path: str) -> list[str]:
        change = Change("type_conflict", path, INTEGER, INTEGER | STRING)
        return [to_text(each.path) for each in sight.breaches([change])]

    assert (at("m", "k"), at("m", ITEM), at("m", "k", "x")) == (["m.*"], ["m"], [])


def test_a_widening_breaks_those_alone_who_know_integers_and_no_numbers() -> None:
    sight = Sight("r", learn([{"whole": 1, "both": 1, "text": "t"}, {"both": 1.5}]))
    changes = [
        Change("type_widened", (name,), INTEGER, INTEGER | NUMBER)
        for name in ("whole", "both", "text")
    ]

    # The first type of a key is known where that key was one of a map.
    changes.append(Change("type_widened", ("whole",), 0, INTEGER))

    (found,) = sight.breaches(changes)
    assert found.path == ("whole",)
    assert not found.is_end


@pytest.mark.parametrize("kind", ["field_added", "alias_added", "retired", "became_map"])
def test_what_adds_nothing_of_another_type_breaks_nobody(kind: str) -> None:
    sight = Sight("r", learn([{"a": 1}]))

    assert list(sight.breaches([Change(kind, ("a",), INTEGER, INTEGER | STRING)])) == []


def test_a_change_at_the_values_of_a_map_is_about_the_keys_that_are_known() -> None:
    sight = Sight("r", learn([{"m": {"k": 1}, "n": {"k": 1}}]))
    change = Change("type_conflict", ("m", ANY_KEY), INTEGER, INTEGER | STRING)

    assert [to_text(each.path) for each in sight.breaches([change])] == ["m.k"]


@pytest.mark.parametrize("kind", ["vanished", "renamed", "alias_removed"])
def test_the_end_of_a_field_breaks_those_who_know_it(kind: str) -> None:
    sight = Sight("billing", learn([{"a": {"x": "t"}}]), [("a", "x")])

    def ends(*path: str) -> int:
        found = list(sight.breaches([Change(kind, path, STRING, STRING)]))
        assert all(each.is_end and not each.is_lost for each in found)
        return len(found)

    assert (ends("a", "x"), ends("a"), ends("b")) == (1, 1, 0)


@given(st.lists(payloads, min_size=1, max_size=3), st.lists(payloads, max_size=3))
def test_a_change_breaks_whoever_knows_a_type_less(
    pinned: list[dict[str, Any]], then: list[dict[str, Any]]
) -> None:
    version, head = learn(pinned), learn([*pinned, *then])

    found = list(Sight("r", version).breaches(diff(version, head)))

    known = {field.path: field.mask for field in version.live}
    for each in found:
        assert known[each.path] not in (0, each.change.after)
    assert not list(Sight("r", head).breaches(diff(version, head)))
