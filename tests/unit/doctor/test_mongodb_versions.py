"""The doctor's word on a version of MongoDB."""

from __future__ import annotations

from datetime import date

import pytest

from consumer.doctor.mongodb import ENDS, judge

MAY_2026 = date(2026, 5, 1)


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("4.4.29", "fail"),
        ("5.0.31", "warn"),
        ("6.0.5", "warn"),
        ("6.3.2", "warn"),
        ("7.0.28", "ok"),
        ("7.3.4", "warn"),
        ("8.0.20", "ok"),
        ("8.1.0", "warn"),
        ("8.3.1", "ok"),
        ("10.0.0-rc1", "ok"),
    ],
)
def test_a_version_is_judged_by_its_last_day(version: str, status: str) -> None:
    check = judge("MongoDB version", version, MAY_2026, embedded=False)

    assert check is not None
    assert (check.status, version in check.finding) == (status, True)
    assert bool(check.advice) == (status != "ok")


def test_a_version_is_good_on_its_last_day_and_no_longer_after_it() -> None:
    end = ENDS[7, 0]
    on, after = (judge("v", "7.0.28", day, embedded=False) for day in (end, date(2027, 9, 1)))

    assert on is not None
    assert after is not None
    assert (on.status, after.status) == ("ok", "warn")
    assert "31 August 2027" in after.finding


def test_the_embedded_one_is_warned_of_with_a_way_out_of_its_own() -> None:
    check = judge("v", "6.0.5", MAY_2026, embedded=True)

    assert check is not None
    assert check.status == "warn"
    assert "MONGODB_URI" in check.advice


def test_a_text_that_is_no_version_is_not_judged() -> None:
    assert judge("v", "unknown", MAY_2026, embedded=False) is None
