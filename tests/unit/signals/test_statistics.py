"""Fields of events: counted as sent, kept in few bytes, and how often they come in words."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from consumer.core.paths import from_text
from consumer.schemas.json_types import ARRAY, INTEGER, OBJECT, STRING
from consumer.schemas.model import Field, SchemaVersion
from consumer.schemas.policy import Defaults
from consumer.signals.statistics import (
    Count,
    Day,
    Seen,
    Together,
    figures,
    looked_at,
    pack,
    percent,
    span,
    unpack,
)

AT = datetime(2026, 3, 10, 12, 34, 56, tzinfo=timezone.utc)
TODAY = AT.replace(hour=0, minute=0, second=0)


def version(*paths: str) -> SchemaVersion:
    fields = tuple(Field(from_text(path), 1, {}) for path in paths)
    return SchemaVersion("s", 1, fields, (), AT)


def stored(payload: dict[str, Any], at: datetime = AT, **meta: Any) -> dict[str, Any]:
    meta = {"subject": "s", "backfilled_to": 1, **meta}
    return {**payload, "schema_version": 1, "processed_at": at, "_meta": meta}


def counted(paths: list[str], *payloads: dict[str, Any], **meta: Any) -> dict[str, Seen]:
    count = Count(version(*paths), Defaults())
    for payload in payloads:
        count.add(stored(payload, **meta), [])
    fields = count.days[TODAY].fields
    return {path: fields[at] for at, path in enumerate(paths) if at in fields}


def sent(paths: list[str], *payloads: dict[str, Any], **meta: Any) -> dict[str, int]:
    return {path: seen.sent for path, seen in counted(paths, *payloads, **meta).items()}


def test_a_field_counts_once_an_event_however_often_it_stands_in_it() -> None:
    assert sent(
        ["id", "skills", "skills[]", "skills[].level"],
        {"id": 1, "skills": [{"level": 1}, {"level": 2}]},
        {"id": 2, "skills": []},
        {"id": 3},
    ) == {"id": 3, "skills": 2, "skills[]": 1, "skills[].level": 1}


def test_null_is_sent_and_what_lies_below_it_is_not() -> None:
    found = counted(["a", "a.b"], {"a": None}, {"a": {"b": None}})

    assert found["a"] == Seen(2, 1, OBJECT, 1 << 12)
    assert found["a.b"] == Seen(1, 1, 0, 1 << 12)


def test_any_key_of_a_map_counts_for_it() -> None:
    paths = ["m", "m.*", "m.*.x"]

    found = sent(paths, {"m": {"one": {"x": 1}, "two": {}}}, {"m": {}})

    assert found == {"m": 2, "m.*": 1, "m.*.x": 1}


def test_keys_that_look_like_markers_are_keys() -> None:
    found = sent(['"[]"', '"*"', '"a.b"'], {"[]": 1, "*": 1, "a.b": 1})

    assert found == {'"[]"': 1, '"*"': 1, '"a.b"': 1}


def test_unknown_fields_and_our_own_are_passed_over() -> None:
    assert sent(["a"], {"a": 1, "new": {"a": 1}}) == {"a": 1}


def test_payload_fields_that_were_kept_aside_count() -> None:
    shadowed = [{"name": "$odd", "value": {"x": 1}}, {"name": "_id", "value": None}]

    assert sent(["$odd", "$odd.x", "_id"], {}, shadowed=shadowed) == {
        "$odd": 1,
        "$odd.x": 1,
        "_id": 1,
    }


@pytest.mark.parametrize("value", [1, Int64(1), Decimal128("123456789012345678901")])
def test_integers_of_any_size_are_integers(value: object) -> None:
    assert counted(["a"], {"a": value})["a"].types == INTEGER


def test_types_are_those_that_came() -> None:
    found = counted(["a", "b"], {"a": "x", "b": []}, {"a": {}, "b": None})

    assert (found["a"].types, found["b"].types) == (STRING | OBJECT, ARRAY)


def test_filled_fields_and_all_below_them_were_not_sent() -> None:
    paths = ["a", "a.b", "a.b.c", "d"]

    found = sent(paths, {"a": {"b": {"c": 1}}, "d": None}, filled=[1])

    assert found == {"a": 1, "d": 1}


def test_a_document_of_which_nobody_knows_what_was_sent_is_left_out() -> None:
    fields = (Field(("a",), 1, {}), Field(("b",), 2, {}))
    count = Count(SchemaVersion("s", 2, fields, (), AT), Defaults())

    added = [
        count.add(stored({"a": 1, "b": None}, backfilled_to=2, untracked=1), []),
        count.add(stored({"a": 1, "b": None}, backfilled_to=2), []),
        count.add(stored({"a": 1}, untracked=1), []),
    ]

    assert added == [False, True, True]
    day = count.days[TODAY]
    assert (day.events, day.of(0), day.of(1)) == (2, 2, 0)


def test_pairs_are_counted_in_events_that_may_send_both() -> None:
    count = Count(version("p", "p.old", "p.new"), Defaults())
    pairs = [((1, 2), 0)]

    payloads: list[dict[str, Any]] = [{"p": {"old": 1}}, {"p": {"new": 1}}, {"p": {}}, {}]
    for payload in payloads:
        count.add(stored(payload), pairs)

    assert count.days[TODAY].pairs == {(1, 2): Together(3, 1, 1, 0)}


def test_what_was_counted_of_a_day_adds_up() -> None:
    day = Day(TODAY, 1, [1] * 24, {3: Seen(2, 1, 8, 1)}, {(1, 2): Together(5, 1, 2, 0)})

    day.add(
        Day(TODAY, 2, [2] * 24, {3: Seen(1, 0, 16, 2), 4: Seen(1, 0, 8, 1)}, {(1, 2): Together(1)})
    )

    assert (day.version, day.events) == (2, 72)
    assert day.fields == {3: Seen(3, 1, 24, 3), 4: Seen(1, 0, 8, 1)}
    assert day.pairs == {(1, 2): Together(6, 1, 2, 0)}


def test_fields_are_read_back_from_their_bytes() -> None:
    chance = random.Random(1)
    fields = {
        position: Seen(chance.choice((1, 127, 128, 20_000, 10**7)), 0, 63, chance.getrandbits(24))
        for position in sorted(chance.sample(range(100_000), 1000))
    }

    assert unpack(pack(fields)) == fields


def test_fields_of_a_day_never_take_more_than_a_document_may() -> None:
    most = Seen(20_000 * 288, 20_000 * 288, 63, (1 << 24) - 1)

    two_thousand = pack(dict.fromkeys(range(2000), most))
    too_many = pack(dict.fromkeys(range(0, 300_000, 3), most))

    assert len(unpack(two_thousand)) == 2000
    assert len(too_many) <= 32_000


def test_how_often_a_field_is_sent_is_said_in_words() -> None:
    hours = [0] * 24
    hours[8], hours[12] = 60, 40
    days = [
        Day(
            TODAY,
            1,
            hours,
            {0: Seen(98, 3, 8, 1 << 12), 1: Seen(20, 0, 8, 1 << 8), 2: Seen(100, 0, 8, 1 << 12)},
        )
    ]

    found = figures(days, 7)

    assert found.text(0, AT) == "sent by 98 %, null in 3 %"
    assert found.text(1, AT) == "sent by 20 %, last sent at least 3 h ago"
    assert found.text(1, AT + timedelta(days=5)) == "sent by 20 %, last sent at least 5 d ago"
    assert found.text(2, AT) == "sent by 100 %"
    assert found.text(3, AT) == "not sent"
    assert looked_at(found) == "100 events of the last 7 days"


def test_without_events_nothing_is_said_of_fields() -> None:
    found = figures([], 1)

    assert (found.text(0, AT), found.share(0)) == ("", None)
    assert looked_at(found).startswith("no events of today (UTC)")


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 9, "0 %"),
        (1, 900, "under 1 %"),
        (899, 900, "over 99 %"),
        (9, 9, "100 %"),
        (1, 3, "33 %"),
    ],
)
def test_a_share_is_all_or_nothing_only_where_it_is_so(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


def test_times_are_hours_up_to_two_days() -> None:
    assert [span(timedelta(hours=hours)) for hours in (0, 47, 48, 200)] == [
        "0 h",
        "47 h",
        "2 d",
        "8 d",
    ]
