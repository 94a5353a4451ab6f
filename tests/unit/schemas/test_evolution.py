"""Any two versions of a subject can be compared."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import to_text
from consumer.schemas.evolution import changes, diff
from consumer.schemas.model import shape_of
from consumer.schemas.shape import map_path, walk
from tests.support.strategies import learn, payloads

EVENTS: list[dict[str, Any]] = [
    {"a": 1, "m": {f"k{n}": 1 for n in range(100)}},
    {"a": 1.5},
    {"b": []},
    {"b": ["x"], "a": "x"},
    {"m": {"new": 1}},
]


def named(older: int, newer: int) -> list[tuple[str, str]]:
    before = learn(EVENTS[:older]) if older else None
    found = diff(before, learn(EVENTS[:newer]))
    return [(change.kind, to_text(change.path)) for change in found]


def test_versions_that_are_next_to_each_other() -> None:
    assert named(1, 2) == [("type_widened", "a")]
    assert named(3, 4) == [("type_conflict", "a"), ("type_widened", "b[]")]
    assert named(4, 5) == [("became_map", "m.*")]


def test_versions_far_apart_are_compared_in_one_step() -> None:
    assert named(1, 5) == [
        ("type_conflict", "a"),
        ("became_map", "m.*"),
        ("field_added", "b"),
        ("field_added", "b[]"),
    ]


def test_before_version_1_everything_is_added() -> None:
    assert {kind for kind, _ in named(0, 4)} == {"field_added"}


def test_a_version_does_not_differ_from_itself() -> None:
    assert named(5, 5) == []


@given(st.lists(payloads, min_size=2, max_size=4))
def test_the_changes_name_exactly_the_paths_that_differ(events: list[dict[str, Any]]) -> None:
    older, newer = learn(events[:1]), learn(events)
    after = shape_of(newer)
    seen: dict[tuple[str, ...], int] = {}
    for path, node in walk(shape_of(older)):
        mapped = map_path(path, after)
        seen[mapped] = seen.get(mapped, 0) | node.types

    named = {change.path for change in diff(older, newer)}

    new = {path for path, _ in walk(after) if path not in seen}
    assert new <= named
    assert named <= {path for path, node in walk(after) if path in new or node.types}
    assert changes(after, after) == []
