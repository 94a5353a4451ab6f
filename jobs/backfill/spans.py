"""Cut the documents that a backfill must fill into stretches of their index, to fill each at once.

A command that names a stretch is smaller for this process and for MongoDB than one that lists
`_id`s, and it reads documents in about the order in which they were written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from pymongo import ASCENDING
from pymongo.collection import Collection

from consumer.mongodb.indexes import BY_STAMP

Document = dict[str, Any]

# All that Python can read; whoever can write to MongoDB can put any date there.
_FIRST = datetime(1, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000, timezone.utc)
_COVERED = {"_id": 0, "schema_version": 1, "processed_at": 1}


@dataclass(frozen=True, slots=True)
class Span:
    """Documents with one stamp and one `schema_version`, by `processed_at`: later than `after`, up
    to and with `to`. `documents`: how many there were when it was cut."""

    subject: str
    stamp: int
    version: int
    after: datetime = _FIRST
    to: datetime = _LAST
    documents: int = 0

    @property
    def filter(self) -> Document:
        return {
            "_meta.subject": self.subject,
            "_meta.backfilled_to": self.stamp,
            "schema_version": self.version,
            "processed_at": {"$gt": self.after, "$lte": self.to},
        }


def next_span(
    events: Collection[Document], subject: str, stamp: int, last: Span | None, size: int
) -> Span | None:
    """The span of about `size` documents that follows the `last` one; None at the end.

    Left out are documents without a number and a date where we write them, and crowds of one date,
    from which no span of a bounded size can be cut. Driver errors pass through.
    """
    rest = None
    if last is None:
        rest = _version_after(events, Span(subject, stamp, -1))
    elif last.to == _LAST:
        rest = _version_after(events, last)
    else:
        rest = replace(last, after=last.to, to=_LAST)
    while rest is not None:
        span = _cut(events, rest, size)
        if span.documents:
            return span
        over = span.to == _LAST
        rest = _version_after(events, rest) if over else replace(rest, after=span.to)
    return None


def _version_after(events: Collection[Document], span: Span) -> Span | None:
    """All documents with the stamp and the next `schema_version`."""
    wanted = {**span.filter, "schema_version": {"$gt": span.version}}
    del wanted["processed_at"]
    found = events.find_one(wanted, _COVERED, sort=[("schema_version", ASCENDING)], hint=BY_STAMP)
    return Span(span.subject, span.stamp, found["schema_version"]) if found else None


def _cut(events: Collection[Document], rest: Span, size: int) -> Span:
    """The beginning of `rest`; without documents if nothing can be cut from it up to there."""
    in_order = [("processed_at", ASCENDING)]
    found = events.find(rest.filter, _COVERED, sort=in_order, hint=BY_STAMP)
    ends = [document["processed_at"] for document in found.skip(size - 1).limit(2)]
    if not ends:
        return replace(rest, documents=_count(events, rest, size))
    if not isinstance(ends[0], datetime):
        # An array of dates, which nobody can put in order.
        return rest
    span = replace(rest, to=ends[0], documents=size)
    if ends[1:] != ends[:1]:
        return span
    # More have the same date. Take them along, unless they are a crowd.
    number = _count(events, span, 2 * size + 1)
    return replace(span, documents=number if number <= 2 * size else 0)


def _count(events: Collection[Document], span: Span, limit: int) -> int:
    return events.count_documents(span.filter, limit=limit, hint=BY_STAMP)
