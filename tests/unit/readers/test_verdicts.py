"""A program that reads one version is broken by what is other than it knows, and by that alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import from_text, to_text
from consumer.readers.verdicts import Sight
from consumer.schemas.evolution import diff
from consumer.schemas.json_types import STRING
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


def test_items_where_an_empty_array_stood_for_an_object_break_those_who_know_it() -> None:
    events: list[dict[str, Any]] = [{"o": {"x": 1}}, {"o": []}, {"o": ["t"]}]
    steps = [learn(events[:count]) for count in (1, 2, 3)]

    def at(step: int) -> list[str]:
        return [to_text(e.path) for e in Sight("r", steps[0]).breaches(steps[step].changes)]

    assert (at(1), at(2)) == ([], ["o"])


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


@pytest.mark.parametrize("kind", ["vanished", "renamed", "alias_removed"])
def test_the_end_of_a_field_breaks_those_who_know_it(kind: str) -> None:
    sight = Sight("billing", learn([{"a": {"x": "t"}}]), [("a", "x")])

    def ends(*path: str) -> int:
        return len(list(sight.breaches([Change(kind, path, STRING, STRING)])))

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
