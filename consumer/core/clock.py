"""The time of day, and the hours and five-minute slices in which events are counted.

`utc_now` is handed to whoever needs it, so that tests can hand another clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from time import time_ns

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
SLICE = timedelta(minutes=5)


def utc_now() -> datetime:
    """Now in UTC, to the millisecond that BSON keeps: what is answered equals what is stored."""
    # A third of the time of now() and to_milliseconds: it is asked three times for each delivery.
    # A float holds milliseconds to a fraction of the microseconds that it is rounded to.
    return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, timezone.utc)


def to_milliseconds(at: datetime) -> datetime:
    """The time as BSON keeps it, so that a value equals what is read back."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def floor(at: datetime, step: timedelta) -> datetime:
    """The beginning of the step (counted from EPOCH) that holds `at`."""
    return at - (at - EPOCH) % step


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour (UTC) that holds `at`."""
    return floor(at, HOUR)


def slice_of(at: datetime) -> datetime:
    """The beginning of the slice that holds `at`; an hour is twelve slices."""
    return floor(at, SLICE)


def next_slice(at: datetime) -> datetime:
    """The first beginning of a slice that is not before `at`."""
    begun = slice_of(at)
    return begun if begun == at else begun + SLICE


def next_hour(at: datetime) -> datetime:
    """The first beginning of an hour that is not before `at`."""
    begun = hour_of(at)
    return begun if begun == at else begun + HOUR
