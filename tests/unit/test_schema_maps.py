"""Maps are told from records, conservatively."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.schema.maps import are_ids
from consumer.schema.paths import to_text
from consumer.schema.policy import Guards, SubjectPolicy, subject_policy
from tests.strategies import OPEN, learn


def texts(payload: dict[str, Any], policy: SubjectPolicy = OPEN) -> list[str]:
    return [to_text(field.path) for field in learn([payload], policy=policy).fields]


@pytest.mark.parametrize(
    "keys",
    [
        ["6f1b9a2e-0d0c-4f57-9a0c-0242ac120002"],
        ["6F1B9A2E-0D0C-4F57-9A0C-0242AC120002", "123456789012"],
        ["507f1f77bcf86cd799439011"],
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV"],
        ["312345678901"],
        ["+15551234567"],
        ["4711", "4712"],
        ["2026-01-01", "2026-01-02"],
    ],
)
def test_these_keys_are_ids(keys: list[str]) -> None:
    assert are_ids(keys)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["4711"],
        ["2026"],
        ["1", "2", "3"],
        ["2026-01-01"],
        ["name", "6f1b9a2e-0d0c-4f57-9a0c-0242ac120002"],
        ["ABCDEFGHJKMNPQRSTVWXYZABCD"],
        ["deadbeefdeadbeefdeadbeef".replace("d", "a").replace("e", "b")],
        ["customer_satisfaction_score"],
        [""],
    ],
)
def test_these_keys_are_names(keys: list[str]) -> None:
    assert not are_ids(keys)


def _record(depth: int, counter: list[int]) -> dict[str, Any]:
    kinds: list[Any] = ["text", 1, 1.5, True, None, ["x"], [{"a": 1, "b": 2}]]
    record: dict[str, Any] = {}
    for n in range(52):
        counter[0] += 1
        record[f"field_{counter[0]}"] = kinds[n % len(kinds)]
    if depth:
        record["nested"] = _record(depth - 1, counter)
    return record


def test_a_real_schema_of_700_paths_over_12_levels_has_no_maps() -> None:
    payload = _record(11, [0])

    found = texts(payload)

    assert len(found) > 700
    assert not [text for text in found if "*" in text]


def test_a_wide_record_of_several_types_is_no_map() -> None:
    payload = {"o": {f"field_{n}": n if n % 2 else str(n) for n in range(300)}}

    assert len(texts(payload)) == 301


def test_a_wide_record_of_unlike_objects_is_no_map() -> None:
    payload = {"o": {f"part_{n}": {f"own_{n}": 1, f"too_{n}": 1} for n in range(150)}}

    assert "o.*" not in texts(payload)


def test_the_root_is_never_a_map() -> None:
    assert "*" not in texts({f"k{n}": n for n in range(300)})
    assert "*" not in texts({"4711": 1, "4712": 1})


def test_a_map_of_more_keys_than_paths_are_read_is_found_in_one_event() -> None:
    guards = Guards(paths_per_event=50)
    payload = {"m": {f"k{n}": {"n": 1, "s": "x"} for n in range(5000)}}

    version = learn([payload], guards=guards)

    assert [to_text(field.path) for field in version.fields] == ["m", "m.*", "m.*.n", "m.*.s"]


def test_pins_decide_by_hand() -> None:
    ids = {"m": {"6f1b9a2e-0d0c-4f57-9a0c-0242ac120002": 1}, "o": {"a": 1}}

    assert texts(ids) == ["m", "m.*", "o", "o.a"]
    assert texts(ids, subject_policy(objects=["m"], maps=["o"])) == [
        "m",
        "m.6f1b9a2e-0d0c-4f57-9a0c-0242ac120002",
        "o",
        "o.*",
    ]
