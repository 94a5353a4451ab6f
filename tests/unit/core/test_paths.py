"""Paths are unambiguous as segments, and their text reads back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import from_text, is_fillable, is_key, to_key, to_segment, to_text
from tests.support.strategies import keys

segments = st.sampled_from(["[]", "*"]) | keys.map(to_segment)


@given(st.lists(segments, max_size=6).map(tuple))
def test_text_of_any_path_reads_back(path: tuple[str, ...]) -> None:
    assert from_text(to_text(path)) == path


@given(keys)
def test_a_literal_key_is_never_taken_for_a_marker(key: str) -> None:
    segment = to_segment(key)

    assert is_key(segment)
    assert to_key(segment) == key


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("agent_skills", "[]", "level"), "agent_skills[].level"),
        (("metrics", "*"), "metrics.*"),
        (("a", "b.c"), 'a."b.c"'),
        (("a", ""), 'a.""'),
        (("a", "\\*"), 'a."*"'),
        (("a", "\\[]", "x"), 'a."[]".x'),
        (("$where",), "$where"),
        (("rows", "[]", "[]"), "rows[][]"),
        (("öl",), "öl"),
    ],
)
def test_paths_read_naturally_and_are_quoted_where_ambiguous(
    path: tuple[str, ...], text: str
) -> None:
    assert to_text(path) == text
    assert from_text(text) == path


@pytest.mark.parametrize("text", ["a..b", ".a", "a.", "a]b", 'a."b', "a*b", 'a"b', "a\\b", "[]a"])
def test_what_is_no_path_is_refused_with_its_position(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        from_text(text)


@pytest.mark.parametrize(
    ("path", "fillable"),
    [
        (("a", "b"), True),
        (("a", "_id"), True),
        (("a.b",), True),
        (("\\*",), True),
        ((), False),
        (("_id",), False),
        (("_meta", "x"), False),
        (("$set",), False),
        (("a", "[]", "b"), False),
        (("a", "*"), False),
    ],
)
def test_only_plain_paths_off_the_reserved_names_are_fillable(
    path: tuple[str, ...], fillable: bool
) -> None:
    assert is_fillable(path) is fillable
