"""Maps are told from records, conservatively."""

from __future__ import annotations

import re
from time import process_time
from typing import Any

import pytest

from consumer.core.paths import to_text
from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import fill
from consumer.schemas.maps import KEY_PATTERNS, KeyPattern, are_ids, is_data_key, is_personal
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Contract, Guards, SubjectPolicy, subject_policy
from tests.support.strategies import OPEN, judge, learn


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


ADDRESSES = [f"user{n}@example.com" for n in range(70)]


def test_a_map_by_addresses_is_found_at_the_first_key_and_makes_no_further_version() -> None:
    events = [{"participants": {address: {"role": "agent"}}} for address in ADDRESSES]

    version = learn(events)

    assert version.number == 1
    assert [to_text(field.path) for field in version.fields] == [
        "participants",
        "participants.*",
        "participants.*.role",
    ]


@pytest.mark.parametrize("name", ["+15551234567", ADDRESSES[0], "4915112345678"])
def test_beside_names_and_at_the_root_keys_that_name_people_are_not_registered(name: str) -> None:
    payload = {"id": 1, name: {"x": 1}, "o": {"count": 1, name: 2}, "l": [{"a": 1, name: 3}]}

    decision = judge(learn([payload]), payload)

    assert (decision.next, decision.guard) == (None, "data_key")
    assert sorted(texts(payload)) == ["id", "l", "l[]", "l[].a", "o", "o.count"]


def test_other_data_beside_names_is_registered() -> None:
    assert texts({"o": {"sub": 1, "https://example.com/roles": 1}}) == [
        "o",
        "o.sub",
        'o."https://example.com/roles"',
    ]


def test_a_pinned_object_has_the_fields_that_its_pin_says_it_has() -> None:
    assert texts({"o": {ADDRESSES[0]: 1}}, subject_policy(objects=["o"])) == [
        "o",
        'o."user0@example.com"',
    ]


def of_an_earlier_program(payload: dict[str, Any]) -> SchemaVersion:
    """A version that knows every key as a field."""
    version = learn([payload], policy=subject_policy(objects=["p", "p.q", "l[].m"]))
    assert not [field for field in version.fields if "*" in field.path]
    return version


@pytest.mark.parametrize(
    "payload",
    [
        {"p": {ADDRESSES[0]: {"role": "x"}}},
        {"p": {ADDRESSES[7]: {"role": "x"}}},
        {"p": {}},
        {"other": 1},
        {"p": None},
    ],
)
@pytest.mark.parametrize("policy", [OPEN, SubjectPolicy(contract=Contract(on_new_field="hold"))])
def test_addresses_that_an_earlier_program_registered_become_a_map_with_the_next_event(
    payload: dict[str, Any], policy: SubjectPolicy
) -> None:
    head = of_an_earlier_program(
        {"other": 1, "p": {address: {"role": "agent"} for address in ADDRESSES[:3]}}
    )
    assert compile_schema(head).due

    decision = judge(head, payload, policy=policy)

    assert decision.next is not None
    assert [(each.kind, to_text(each.path)) for each in decision.next.changes] == [
        ("became_map", "p.*")
    ]
    assert {to_text(field.path) for field in decision.next.live} == {
        *("other", "p", "p.*", "p.*.role")
    }
    assert not compile_schema(decision.next).due
    assert judge(decision.next, payload, policy=policy).next is None


def test_weak_keys_in_arrays_and_below_new_maps_become_maps_too() -> None:
    head = of_an_earlier_program(
        {
            "p": {ADDRESSES[0]: {"m": {"4711": 1}}, ADDRESSES[1]: {"m": {"4712": 1}}},
            "l": [{"m": {}}],
        }
    )

    decision = judge(head, {"l": [{"m": {"agent-1001": 1}}, {"m": {"agent-1002": 1}}]})

    assert decision.next is not None
    assert {to_text(field.path) for field in decision.next.live} == {
        *("l", "l[]", "l[].m", "l[].m.*", "p", "p.*", "p.*.m", "p.*.m.*")
    }


def test_known_addresses_beside_a_name_that_comes_are_no_map() -> None:
    head = of_an_earlier_program({"p": {ADDRESSES[0]: 1}})

    decision = judge(head, {"p": {"count": 1, ADDRESSES[1]: 1}})

    assert decision.next is not None
    assert [(each.kind, to_text(each.path)) for each in decision.next.changes] == [
        ("field_added", "p.count")
    ]
    assert decision.guard == "data_key"


def test_a_new_address_in_a_map_that_is_due_is_no_news_that_a_contract_holds() -> None:
    head = of_an_earlier_program({"p": {ADDRESSES[0]: {"role": "x"}}})
    hold = SubjectPolicy(contract=Contract(on_new_field="hold"))

    assert not judge(head, {"p": {ADDRESSES[1]: {"role": "x"}}}, policy=hold).held
    assert judge(head, {"p": {ADDRESSES[1]: {"new": "x"}}}, policy=hold).held
    assert judge(head, {"p": {"count": 1}}, policy=hold).held


def test_nothing_is_filled_in_an_object_that_is_due_to_become_a_map() -> None:
    head = of_an_earlier_program({"p": {ADDRESSES[0]: {"role": "x"}}, "a": {"b": 1}})
    schema = compile_schema(head)
    payload: dict[str, Any] = {"p": {ADDRESSES[0]: {}}, "a": {}}

    fill(payload, schema.check(payload))

    assert payload == {"p": {ADDRESSES[0]: {}}, "a": {"b": None}}


def test_named_figures_by_the_hundred_remain_fields() -> None:
    figures = {f"kpi_of_{chr(97 + n % 26)}{chr(97 + n // 26)}": n for n in range(110)}
    some = dict(list(figures.items())[:40])
    more = {**figures, "kpi_more": 1}

    version = learn([{"k": figures}, {"k": some, "new": 1}, {"k": more}])

    assert len(version.live) == 113


def test_keys_that_keep_coming_make_a_map_of_their_object() -> None:
    events = [{"k": {f"a_{chr(97 + n)}_{key}": 1 for key in "xyzuvwrst"}} for n in range(12)]

    assert [to_text(field.path) for field in learn(events).live] == ["k", "k.*"]


@pytest.mark.parametrize(("new", "is_map"), [(60, False), (59, True), (41, True), (40, False)])
def test_more_than_100_of_which_an_event_sends_less_than_half_are_a_map(
    new: int, is_map: bool
) -> None:
    events = [
        {"k": {f"{word} {n}x": 1 for n in range(many)}}
        for word, many in zip("ab", (60, new), strict=True)
    ]

    assert (learn(events).live[-1].path == ("k", "*")) is is_map


@pytest.mark.parametrize(("keys", "is_map"), [(500, False), (501, True)])
def test_more_than_500_alike_in_one_payload_are_a_map(keys: int, is_map: bool) -> None:
    assert ("k.*" in texts({"k": {f"part {n}x": n for n in range(keys)}})) is is_map


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
