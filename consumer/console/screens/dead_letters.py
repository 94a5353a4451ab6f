"""Show the dead letters: how many wait for what, and by what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from consumer.console.context import Context
from consumer.console.pagination import OffsetPage
from consumer.console.request import Fields, Request
from consumer.console.wording import REASONS, STATUSES
from consumer.core.delivery import MAIN
from consumer.dead_letters.retry import DISCARDED, RESOLVED, UNRESOLVED
from consumer.dead_letters.search import MOST_GROUPED, Cause, DeadLetterFilter

ANY = "any"
# Causes of a page, and those of its letters that it lists.
_PAGE = 50
_SHOWN = 20
# Letters of the one cause that is asked for.
_OF_ONE = 200
FIELDS = ("reason", "status", "type", "source", "from", "to")
_MOST_TEXT = 1000


@dataclass(slots=True)
class Group:
    """The entries of a reason: how many wait with which status, since when, and how many ended."""

    reason: str
    waits: dict[str, int]
    ended: int = 0
    oldest: datetime | None = None

    @property
    def count(self) -> int:
        return sum(self.waits.values())


def view(context: Context, request: Request) -> dict[str, Any]:
    """Groups of all entries, and a page of the causes of those that are asked for."""
    page, query = OffsetPage.of(request, _PAGE), request.query
    wanted = dead_letter_filter(query)
    depths = context.dead_letters.depths()
    groups = grouped(depths)
    found = causes(context, wanted, depths)
    is_cut = sum(len(cause.ids) for cause in found) >= MOST_GROUPED
    before = min((cause.least for cause in found), default=None) if is_cut else None
    most = _SHOWN
    if key := query.get("cause"):
        found, most = [cause for cause in found if cause.key == key], _OF_ONE
    shown = found[page.skip : page.skip + page.limit]
    ids = {cause.key: cause.ids[:most] for cause in page.rows(shown)}
    listed = context.dead_letter_search.rows([_id for each in ids.values() for _id in each])
    rows = {_id: _row(context, entry) for _id, entry in listed.items()}
    if key and found and len(found[0].ids) > most:
        before = min(row["last_seen"] for row in rows.values())
    return {
        "groups": groups,
        "waiting": sum(group.count for group in groups),
        "wanted": wanted,
        "status": query.get("status", ""),
        "statuses": STATUSES,
        "reasons": REASONS,
        "of_one": bool(key),
        "causes": [
            (cause, [rows[_id] for _id in ids[cause.key] if _id in rows])
            for cause in page.rows(shown)
        ],
        "fields": {name: query[name] for name in FIELDS if query.get(name)},
        # Of an installation without others nothing tells a source.
        "sources": [*context.settings.every_source] if context.settings.sources else [],
        "tells_source": any(row["source"] != MAIN for row in rows.values()),
        "links": page.links(request, shown),
        "most": MOST_GROUPED,
        "before": before and _link_before(request, before),
        "filtered": any(query.get(name) for name in ("reason", "type", "source", "from", "to")),
    }


def _link_before(request: Request, at: datetime) -> str:
    """The same list of what was seen last then, or before: `to` is not meant with it."""
    to = (at + timedelta(milliseconds=1)).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return request.link(to=to, page=None)


def causes(
    context: Context,
    wanted: DeadLetterFilter,
    depths: Iterable[tuple[str, str, int, datetime]],
) -> list[Cause]:
    """The causes of the letters that are wanted, that of the last seen one first."""
    pairs = [(reason, status) for reason, status, _, _ in depths if wanted.takes(reason, status)]
    return context.dead_letter_search.causes(wanted.query(), pairs)


def dead_letter_filter(fields: Fields) -> DeadLetterFilter:
    """The filter in FIELDS: without a status, all that wait."""
    status = fields.get("status", "")
    statuses = UNRESOLVED if status not in STATUSES else (status,)
    return DeadLetterFilter(
        reason=fields.get("reason", "")[:_MOST_TEXT],
        statuses=() if status == ANY else statuses,
        event_type=fields.get("type", "").strip()[:_MOST_TEXT],
        source=fields.get("source", "")[:_MOST_TEXT],
        since=fields.time("from"),
        until=fields.time_before("to"),
    )


def grouped(depths: Iterable[tuple[str, str, int, datetime]]) -> list[Group]:
    """By reason, those of which most wait first."""
    found: dict[str, Group] = {}
    for reason, status, count, oldest in depths:
        group = found.setdefault(reason, Group(reason, {}))
        if status in (RESOLVED, DISCARDED):
            group.ended += count
            continue
        group.waits[status] = count
        group.oldest = oldest if group.oldest is None else min(oldest, group.oldest)
    return sorted(found.values(), key=lambda group: (-group.count, group.reason))


def _row(context: Context, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": entry["_id"],
        "reason": entry["reason"],
        "status": entry["status"],
        "type": entry.get("event_type"),
        "source": entry.get("source", MAIN),
        "event_id": context.redaction.event_id(entry.get("event_id"), entry.get("event_type")),
        "seen": entry["seen"],
        "last_seen": entry["last_seen"],
        "message": entry.get("diagnosis") or entry["error_message"],
        "next": entry.get("next_retry_at"),
    }
