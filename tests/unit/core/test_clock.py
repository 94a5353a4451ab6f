"""The time of day is told as BSON keeps it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core import clock
from consumer.core.clock import EPOCH, to_milliseconds, utc_now

_YEAR_9999 = 253_402_300_799 * 10**9


@given(st.integers(0, _YEAR_9999))
def test_now_is_to_the_millisecond(nanoseconds: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "time_ns", lambda: nanoseconds)
        now = utc_now()

    assert now == to_milliseconds(EPOCH + timedelta(microseconds=nanoseconds // 1000))
