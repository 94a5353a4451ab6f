"""Stored events: find them, and see of one what was sent and what was filled in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from consumer.console.answers import Missing
from consumer.console.context import Parts
from consumer.console.event_rows import MARKS, as_json, marked, on_one_line
from consumer.console.pagination import Trail
from consumer.console.request import Request
from consumer.console.times import chosen
from consumer.events.search import Wanted
from consumer.schemas.policy import Defaults

_PAGE = 50
_MOST_TEXT = 1000
_MILLISECOND = timedelta(milliseconds=1)


def show(parts: Parts, request: Request) -> dict[str, Any]:
    """A page of events, the last processed first."""
    query, trail = request.query, Trail.of(request)
    wanted = Wanted(
        key=query.get("id", "").strip()[:_MOST_TEXT],
        subject=query.get("type", "").strip()[:_MOST_TEXT],
        version=query.number("version", 0, most=10**9) or None,
        since=chosen(request, "from"),
        until=_earlier(chosen(request, "to"), trail.until),
        skip=trail.skip,
    )
    found = parts.events.page(wanted, _PAGE + 1)
    return {
        "wanted": wanted,
        "rows": [_row(parts, each) for each in found.rows[:_PAGE]],
        "partial": found.partial,
        "links": trail.links(request, found.rows, _PAGE, lambda row: row["processed_at"]),
        "by_type": parts.one_subject is None,
        "filtered": any(query.get(name) for name in ("id", "type", "version", "from", "to")),
    }


def one(parts: Parts, request: Request) -> dict[str, Any]:
    """One event, field by field."""
    _id = request.query.get("id", "")
    document = parts.events.one(_id) if _id else None
    if document is None:
        raise Missing("There is no event with this address: it may have been erased, or expired.")
    subject = str((document.get("_meta") or {}).get("subject", ""))
    # Positions of fields mean the same in every version, so that the newest one tells them all.
    head = parts.registry.refreshed(subject) if subject else None
    defaults = parts.schema_policy.of(subject).defaults if subject else Defaults()
    shown = parts.redaction.document(document, _rules(parts, subject))
    meta = shown.get("_meta") or {}
    return {
        "id": _id,
        "key": meta.get("key"),
        "meta": meta,
        "aside": [(each["name"], on_one_line(each["value"])) for each in meta.get("shadowed", ())],
        "subject": subject,
        "head": head,
        "stored": document.get("schema_version", 0),
        "processed": document.get("processed_at"),
        "event": marked(document, shown, head, defaults),
        "marks": MARKS,
        "json": as_json(shown),
    }


def _row(parts: Parts, row: dict[str, Any]) -> dict[str, Any]:
    meta = row.get("_meta") or {}
    subject = str(meta.get("subject", ""))
    return {
        "id": row["_id"],
        "key": parts.redaction.event_id(meta.get("key"), _rules(parts, subject)),
        "subject": subject,
        "version": row.get("schema_version", 0),
        "exhibited": meta.get("exhibited_version", 0),
        "at": row["processed_at"],
    }


def _rules(parts: Parts, subject: str) -> str | None:
    """The subject whose rules of redaction hold: where all evolve as one, those of any type."""
    return subject if parts.one_subject is None else None


def _earlier(before: datetime | None, mark: datetime | None) -> datetime | None:
    """Up to and with which time: a chosen one is not meant with it."""
    if before is not None:
        before -= _MILLISECOND
    if before is None or mark is None:
        return mark or before
    return min(before, mark)
