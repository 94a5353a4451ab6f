"""The time of day is told as BSON keeps it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core import clock
from consumer.core.clock import EPOCH, to_milliseconds, utc_now

# A float of seconds is exact to half a microsecond until then, in 2106.
_LAST = 2**32 * 10**9


@given(st.integers(0, _LAST))
def test_now_is_to_the_millisecond(nanoseconds: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "time_ns", lambda: nanoseconds)
        now = utc_now()

    assert now == to_milliseconds(EPOCH + timedelta(microseconds=nanoseconds // 1000))
