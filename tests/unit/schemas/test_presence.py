"""Counts of payloads that send a field: by path, through arrays and maps."""

from __future__ import annotations

from typing import Any

from consumer.core.paths import from_text
from consumer.schemas.model import Field, SchemaVersion
from consumer.schemas.presence import presence
from tests.support.adoption import NOW


def version(*paths: str) -> SchemaVersion:
    fields = tuple(Field(from_text(path), 1, {}) for path in paths)
    return SchemaVersion("s", 1, fields, (), NOW)


def counted(paths: list[str], *payloads: dict[str, Any]) -> dict[str, int]:
    found = presence(version(*paths), payloads)
    return {path: found[from_text(path)] for path in paths}


def test_a_field_counts_once_a_payload_however_often_it_stands_in_it() -> None:
    assert counted(
        ["id", "skills", "skills[]", "skills[].level"],
        {"id": 1, "skills": [{"level": 1}, {"level": 2}]},
        {"id": 2, "skills": []},
        {"id": 3},
    ) == {"id": 3, "skills": 2, "skills[]": 1, "skills[].level": 1}


def test_null_is_sent_and_what_lies_below_it_is_not() -> None:
    assert counted(["a", "a.b"], {"a": None}, {"a": {"b": None}}) == {"a": 2, "a.b": 1}


def test_any_key_of_a_map_counts_for_it() -> None:
    paths = ["m", "m.*", "m.*.x"]

    assert counted(paths, {"m": {"one": {"x": 1}, "two": {}}}, {"m": {}}) == {
        "m": 2,
        "m.*": 1,
        "m.*.x": 1,
    }


def test_keys_that_look_like_markers_are_keys() -> None:
    assert counted(['"[]"', '"*"', '"a.b"'], {"[]": 1, "*": 1, "a.b": 1}) == {
        '"[]"': 1,
        '"*"': 1,
        '"a.b"': 1,
    }


def test_unknown_fields_are_passed_over() -> None:
    assert counted(["a"], {"a": 1, "new": {"a": 1}}) == {"a": 1}
