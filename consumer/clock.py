"""The time of day, handed to whoever needs it so that tests can hand another."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """Now in UTC, to the millisecond that BSON keeps: what is answered equals what is stored."""
    now = datetime.now(timezone.utc)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
