"""Read the times that people choose in forms; all are UTC, as all that are shown."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from consumer.console.answers import Invalid
from consumer.console.request import Fields, Request

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Beyond it no time can be moved by what is added to it.
_END = datetime(9999, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)


def chosen(request: Request, name: str) -> datetime | None:
    """The time in a field of the query; raises Invalid."""
    return chosen_of(request.query, name)


def chosen_of(fields: Fields, name: str) -> datetime | None:
    """The time in a field, as `datetime-local` writes it; raises Invalid."""
    text = fields.get(name, "").strip()
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"“{text[:40]}” is no time: 2026-01-31T12:00 is one.") from error
    if not _EPOCH <= at < _END:
        raise Invalid(f"“{text[:40]}” is no time that anything here can have.")
    return at


def to_mark(at: datetime) -> int:
    """Milliseconds since 1970, as MongoDB keeps times."""
    return (at - _EPOCH) // _MILLISECOND


def from_mark(text: str) -> datetime | None:
    """The time of a mark; None where there is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 14):
        return None
    return _EPOCH + int(text) * _MILLISECOND
