"""Show the stored events: find them, and see of one what was sent and what was filled in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from consumer.console.answers import Missing
from consumer.console.context import Context
from consumer.console.event_rows import MARKS, as_json, marked, on_one_line
from consumer.console.pagination import KeysetPage
from consumer.console.request import Request
from consumer.events.search import EventFilter
from consumer.schemas.policy import Defaults

_PAGE = 50
_MOST_TEXT = 1000


def view(context: Context, request: Request) -> dict[str, Any]:
    """A page of events, the last processed first."""
    query, page = request.query, KeysetPage.of(request)
    wanted = EventFilter(
        key=query.get("id", "").strip()[:_MOST_TEXT],
        subject=query.get("type", "").strip()[:_MOST_TEXT],
        version=query.number("version", 0, most=10**9) or None,
        since=query.time("from"),
        until=_earlier(query.time_before("to"), page.until),
        skip=page.skip,
    )
    found = context.events.page(wanted, _PAGE + 1)
    return {
        "wanted": wanted,
        "rows": [_row(context, each) for each in found.rows[:_PAGE]],
        "partial": found.partial,
        "links": page.links(request, found.rows, _PAGE, lambda row: row["processed_at"]),
        "by_type": context.one_subject is None,
        "filtered": any(query.get(name) for name in ("id", "type", "version", "from", "to")),
    }


def one(context: Context, request: Request) -> dict[str, Any]:
    """One event, field by field."""
    _id = request.query.get("id", "")
    document = context.events.one(_id) if _id else None
    if document is None:
        raise Missing("There is no event with this address: it may have been erased, or expired.")
    subject = str((document.get("_meta") or {}).get("subject", ""))
    # Positions of fields mean the same in every version, so that the newest one tells them all.
    head = context.registry.refreshed(subject) if subject else None
    defaults = context.schema_policy.of(subject).defaults if subject else Defaults()
    shown = context.redaction.document(document, _rules(context, subject))
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


def _row(context: Context, row: dict[str, Any]) -> dict[str, Any]:
    meta = row.get("_meta") or {}
    subject = str(meta.get("subject", ""))
    return {
        "id": row["_id"],
        "key": context.redaction.event_id(meta.get("key"), _rules(context, subject)),
        "subject": subject,
        "source": meta.get("source"),
        "version": row.get("schema_version", 0),
        "exhibited": meta.get("exhibited_version", 0),
        "at": row["processed_at"],
    }


def _rules(context: Context, subject: str) -> str | None:
    """The subject whose rules of redaction hold: where all evolve as one, those of any type."""
    return subject if context.one_subject is None else None


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other
