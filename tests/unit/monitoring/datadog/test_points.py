"""Points are frozen within Datadog's rules, bounded, and cut into requests that it takes."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.monitoring.datadog.buffer import Buffer, batches, document, halves, points_of
from consumer.monitoring.datadog.points import Common, Point, Reading, Series, freeze, tag, tags
from consumer.monitoring.datadog.replies import MAX_WAIT, meaning_of, wait_of

COMMON = Common(tags=("env:test",), host="h", interval=60)
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def series(name: str = "a", *own: str) -> Series:
    return Series(name, "gauge", own, "h", None, 60)


def points(seconds: range, name: str = "a") -> list[Point]:
    return [Point(series(name), second, float(second)) for second in seconds]


def test_reading_becomes_a_point_with_all_tags_sorted() -> None:
    reading = Reading("a.b", "count", 3, {"outcome": "processed"}, "event")

    found, dropped = freeze([reading], COMMON, 1000)

    expected = Series("a.b", "count", ("env:test", "outcome:processed"), "h", "event", 60)
    assert found == [Point(expected, 1000, 3.0)]
    assert not dropped


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_dropped_and_counted(value: float) -> None:
    found, dropped = freeze([Reading("a", "gauge", value)], COMMON, 1)

    assert (found, dropped) == ([], {"value": 1})


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", "ä", "a" * 201])
def test_names_that_datadog_would_change_are_dropped_and_counted(name: str) -> None:
    found, dropped = freeze([Reading(name, "gauge", 1)], COMMON, 1)

    assert (found, dropped) == ([], {"name": 1})


def test_readings_that_become_the_same_series_are_one_point() -> None:
    readings = [Reading("a", "gauge", value, {"t": text}) for value, text in ((1, "X"), (2, "x"))]

    found, dropped = freeze(readings, COMMON, 1)

    assert [point.value for point in found] == [1.0]
    assert dropped == {"duplicate": 1}


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("event_type:Contact.Created", "event_type:contact.created"),
        ("event_type:a b,c", "event_type:a_b_c"),
        ("event_type:", "event_type"),
        ("event_type:x__ ", "event_type:x"),
        ("9lives:x", "lives:x"),
        ("event_type:日本", "event_type:日本"),
        ("event_type:a\nb\x00", "event_type:a_b"),
        ("::", ""),
    ],
)
def test_tags_are_spelled_as_datadog_does(text: str, spelled: str) -> None:
    assert tag(text) == spelled


@given(st.text(max_size=500))
def test_every_tag_keeps_the_published_rules(text: str) -> None:
    spelled = tag(text)

    assert len(spelled) <= 200
    assert spelled == "" or re.fullmatch(r"[^\W\d_][\w:./-]*", spelled)
    assert not spelled.endswith((":", "_"))


def test_long_tags_that_differ_at_their_ends_stay_two() -> None:
    assert len(tags([f"event_type:{'x' * 300}{end}" for end in "ab"])) == 2


def test_host_is_never_a_tag() -> None:
    assert tags(["host:a", "Device:b", "source:c", "env:d"]) == ("env:d",)


def test_full_buffer_lets_the_oldest_go_and_says_how_many() -> None:
    buffer = Buffer(3)

    lost = buffer.add(points(range(5)))

    assert lost == 2
    assert [point.second for point in buffer.points()] == [2, 3, 4]


def test_point_of_a_series_and_second_never_changes() -> None:
    buffer = Buffer(10)
    buffer.add([Point(series(), 1, 1.0)])

    buffer.add([Point(series(), 1, 2.0)])

    assert buffer.points() == [Point(series(), 1, 1.0)]


def test_points_leave_when_datadog_would_refuse_their_time() -> None:
    now = 1_000_000
    buffer = Buffer(10)
    seconds = (now - 3600, now - 3500, now, now + 500, now + 700)
    buffer.add(Point(series(), second, 1.0) for second in seconds)

    assert buffer.expire(now) == (1, 1)
    assert [point.second for point in buffer.points()] == [now - 3500, now, now + 500]


@pytest.mark.parametrize(
    ("second", "left"),
    [(-3540, (0, 0)), (-3541, (1, 0)), (540, (0, 0)), (541, (0, 1))],
)
def test_a_point_leaves_a_minute_before_datadog_refuses_it(
    second: int, left: tuple[int, int]
) -> None:
    buffer = Buffer(10)
    buffer.add([Point(series(), 1_000_000 + second, 1.0)])

    assert buffer.expire(1_000_000) == left


def test_a_tag_of_200_characters_stays_as_it_is_and_a_longer_one_fills_the_same_room() -> None:
    assert tag("a" * 200) == "a" * 200
    assert len(tag("a" * 201)) == 200
    assert tag("a" * 201).startswith("a" * 187 + "_")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 50)), unique=True))
def test_batches_hold_each_point_once_and_keep_their_size(drawn: list[tuple[str, int]]) -> None:
    given_points = [Point(series(name), second, 1.0) for name, second in drawn]

    made = list(batches(given_points, max_bytes=1500))

    assert sorted(map(repr, (p for batch in made for p in points_of(batch)))) == sorted(
        map(repr, given_points)
    )
    for batch in made:
        assert len(json.dumps([document(*entry) for entry in batch])) <= 1502 or len(batch) == 1


@given(st.integers(1, 20), st.integers(1, 20))
def test_halving_ends_at_single_points_and_loses_none(names: int, seconds: int) -> None:
    everything = [p for name in range(names) for p in points(range(seconds), f"a{name}")]
    waiting = list(batches(everything))
    ended: list[Point] = []
    while waiting:
        batch = waiting.pop()
        parts = halves(batch)
        if parts is None:
            ended += points_of(batch)
        else:
            waiting += parts

    assert len(ended) == names * seconds
    assert set(ended) == set(everything)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, "accepted"),
        (202, "accepted"),
        (307, "refused"),
        (400, "bad"),
        (401, "unauthorised"),
        (403, "unauthorised"),
        (404, "refused"),
        (408, "busy"),
        (413, "too_large"),
        (429, "busy"),
        (500, "busy"),
        (503, "busy"),
    ],
)
def test_each_status_has_one_meaning(status: int, meaning: str) -> None:
    assert meaning_of(status) == meaning


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Reset": "7"}, 7.0),
        ({"x-ratelimit-reset": "7", "Retry-After": "9"}, 7.0),
        ({"Retry-After": "9"}, 9.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30.0),
        ({"Retry-After": "Wed, 31 Dec 2025 00:00:30 GMT"}, 0.0),
        ({"X-RateLimit-Reset": "1767225600"}, MAX_WAIT),
        ({"X-RateLimit-Reset": "9" * 5000}, MAX_WAIT),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"X-RateLimit-Reset": "-5"}, None),
        ({}, None),
    ],
)
def test_wait_is_what_the_server_asks_within_bounds(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert wait_of(headers, NOW) == seconds


def test_a_batch_holds_as_many_bytes_as_its_bound_and_not_one_more() -> None:
    four = [Point(series(f"a{number}"), 1, 1.0) for number in range(4)]
    whole = sum(len(json.dumps(document(each.series, [each]))) + 2 for each in four)

    assert [len(batch) for batch in batches(four, whole)] == [4]
    assert [len(batch) for batch in batches(four, whole - 1)] == [3, 1]
