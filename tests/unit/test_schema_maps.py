"""Maps are told from records, conservatively."""

from __future__ import annotations

import re
from time import process_time
from typing import Any

import pytest

from consumer.schema.maps import KEY_PATTERNS, KeyPattern, are_ids, is_data_key, is_personal
from consumer.schema.paths import to_text
from consumer.schema.policy import Guards, SubjectPolicy, subject_policy
from tests.strategies import OPEN, learn


def texts(payload: dict[str, Any], policy: SubjectPolicy = OPEN) -> list[str]:
    return [to_text(field.path) for field in learn([payload], policy=policy).fields]


ROWS = [pytest.param(row, id=row.name) for row in KEY_PATTERNS]
UUIDS = ["6f1b9a2e-0d0c-4f57-9a0c-0242ac120002", "6F1B9A2E-0D0C-4F57-9A0C-0242AC120003"]


@pytest.mark.parametrize("row", ROWS)
def test_examples_of_a_row_are_data_and_its_names_are_not(row: KeyPattern) -> None:
    pattern = re.compile(row.pattern, re.IGNORECASE)

    assert [key for key in row.examples if not (pattern.fullmatch(key) and is_data_key(key))] == []
    assert [key for key in row.names if is_data_key(key)] == []


@pytest.mark.parametrize("row", ROWS)
def test_one_key_of_a_strong_row_or_two_of_a_weak_one_make_a_map(row: KeyPattern) -> None:
    first, second = row.examples[:2]

    assert are_ids([first]) is (row.enough == 1)
    assert are_ids([first, second])
    assert not are_ids([first, second, "name"])


@pytest.mark.parametrize(
    "keys",
    [
        [*UUIDS, "123456789012"],
        ["4711", "2026-01-01"],
        ["agent-1001", "agent-1002"],
        ["dQw4w9WgXcQ", "kX9vQ2mZ0aR"],
        ["dQw4w9WgXcQ", "kX9vQ2mZ0aR", "kXAvQrmZzaR"],
        ["kX9vQ2mZ0aRbL3tYpW8sNfGh1Jc2", "V1StGXR8Z5jdHi6BmyTq7wE4rT9u"],
        ["cjld2cjxh0000qzrmn831i7rn", "cjld2cyuq0000t3rmniod1foy"],
    ],
)
def test_these_keys_are_ids(keys: list[str]) -> None:
    assert are_ids(keys)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["4711"],
        ["2026-01-01"],
        ["name", *UUIDS],
        ["customer_satisfaction_score"],
        [""],
        [f"q{n}" for n in range(1, 121)],
        ["line1", "line2", "address2"],
        ["USD", "EUR", "GBP", "JPY"],
        ["en-US", "de-DE"],
        ["iso-8601", "iso-3166", "sha256"],
        ["averageSpeedOfAnswerInSeconds2024", "averageSpeedOfAnswerInSeconds2025"],
        ["averageLast7Days", "averageLast30Days"],
        ["p95LatencyInMilliseconds", "p99LatencyInMilliseconds"],
        ["address_line_1_text", "address_line_2_text"],
        ["sub", "https://example.com/roles", "https://example.com/tenant"],
        ["kX9vQ2mZ0aR", "customerIds"],
        ["mAP@0.5", "mAP@0.75"],
        ["customer_1", "customer_2"],
    ],
)
def test_these_keys_are_names(keys: list[str]) -> None:
    assert not are_ids(keys)


@pytest.mark.parametrize(
    "key", ["user5@example.com", "+4915112345678", "4915112345678", "(555) 123-4567"]
)
def test_addresses_and_phone_numbers_are_personal(key: str) -> None:
    assert is_personal(key)


@pytest.mark.parametrize(
    "key", ["@type", "4711", "2026-01-01", "10.0.0.12", UUIDS[0], "https://example.com/", "1e10"]
)
def test_other_data_is_not_personal(key: str) -> None:
    assert not is_personal(key)


@pytest.mark.parametrize(
    "piece",
    [
        *("a", "1", "@", "a@", "a.", "a@a.", "a-", "a1", "1 ", "1-", "+1 ", "a:", "::", "<"),
        *("A=", "1.", "[:", "a_1234_", "0", "Zq9", "1:", "a 1", "(1", "\n", "é"),
    ],
)
def test_a_key_of_a_megabyte_is_judged_in_no_time(piece: str) -> None:
    key = piece * (1_000_000 // len(piece))

    begin = process_time()
    for each in (key, key + "!", "x" + key):
        is_data_key(each)
        is_personal(each)
        are_ids([each, each + "x"])

    assert process_time() - begin < 1.0


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
