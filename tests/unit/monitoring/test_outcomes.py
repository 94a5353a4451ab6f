"""Percentiles estimated from cumulative buckets."""

from __future__ import annotations

import math

import pytest

from consumer.monitoring.outcomes import increase, merged, percentile

INF = math.inf
BUCKETS = [(1.0, 2.0), (2.0, 6.0), (4.0, 8.0), (INF, 10.0)]


@pytest.mark.parametrize(
    ("share", "value"),
    [
        (0.0, 0.0),
        (0.1, 0.5),
        # Where a bucket ends exactly, its own bound is the answer, not the next bucket's.
        (0.2, 1.0),
        (0.4, 1.5),
        (0.6, 2.0),
        (0.7, 3.0),
        (0.8, 4.0),
        (0.9, 4.0),
        (1.0, 4.0),
    ],
)
def test_percentiles_are_linear_inside_a_bucket(share: float, value: float) -> None:
    assert percentile(BUCKETS, share) == value


def test_what_was_observed_since_is_the_difference_bound_by_bound() -> None:
    before = [(1.0, 1.0), (2.0, 2.0), (INF, 2.0)]

    assert increase(BUCKETS, before) == [(1.0, 1.0), (2.0, 4.0), (4.0, 8.0), (INF, 8.0)]


def test_observations_under_other_bounds_are_added_where_they_belong() -> None:
    other = [(2.0, 3.0), (3.0, 5.0), (INF, 5.0)]

    assert merged([BUCKETS, other]) == [
        (1.0, 2.0),
        (2.0, 9.0),
        (3.0, 11.0),
        (4.0, 13.0),
        (INF, 15.0),
    ]
