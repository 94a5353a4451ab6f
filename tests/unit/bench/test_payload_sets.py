"""Benchmarks send the sets of payloads that they say."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from tests.bench.payload_sets import SETS, encoded, evolving

Paths = frozenset[tuple[str, ...]]


def test_varied_has_as_many_sets_of_fields_as_were_seen_in_what_people_send() -> None:
    found = [paths_of(payload) for payload in SETS["varied"](20_000, 1)]

    assert len(frozenset().union(*found)) == 111
    assert 13_000 < len(set(found)) < 13_600


@pytest.mark.parametrize(
    ("name", "count", "fewest", "most"),
    [("varied", 2000, 690, 1210), ("digital", 300, 3900, 8200)],
)
def test_bodies_are_as_large_as_is_said(name: str, count: int, fewest: int, most: int) -> None:
    sizes = [len(encoded(payload)) for payload in SETS[name](count, 1)]

    assert fewest <= min(sizes) and max(sizes) <= most


def test_digital_is_wide_and_deep() -> None:
    payloads = list(SETS["digital"](300, 1))
    paths = [paths_of(payload) for payload in payloads]

    assert min(map(len, paths)) >= 150
    assert max(map(len, paths)) <= 300
    assert {depth(payload) for payload in payloads} == {12}


def test_each_event_of_an_evolving_stream_has_a_field_that_is_new() -> None:
    found = [set(payload) for payload in islice(evolving(SETS["varied"](50, 1)), 50)]

    assert all(len(each - set().union(*found[:n])) >= 1 for n, each in enumerate(found))


def paths_of(value: Any, above: tuple[str, ...] = ()) -> Paths:
    members: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        members = [*value.items()]
    elif isinstance(value, list):
        members = [("[]", item) for item in value]
    below = (paths_of(item, (*above, name)) for name, item in members)
    return frozenset((*above, name) for name, _ in members).union(*below)


def depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    members = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, members), default=0)
