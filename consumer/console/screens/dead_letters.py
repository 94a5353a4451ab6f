"""Dead letters: how many wait for what, and which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from consumer.console.context import Parts
from consumer.console.pagination import Trail
from consumer.console.request import Fields, Request
from consumer.console.times import chosen
from consumer.console.wording import REASONS, STATUSES
from consumer.dead_letters.retry import DISCARDED, RESOLVED
from consumer.dead_letters.search import DeadLetterFilter
from consumer.dead_letters.store import UNRESOLVED

ANY = "any"
_PAGE = 30
_MOST_TEXT = 1000
_MILLISECOND = timedelta(milliseconds=1)


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


def show(parts: Parts, request: Request) -> dict[str, Any]:
    """Groups of all entries, and a page of those that are asked for."""
    trail = Trail.of(request)
    wanted = dead_letter_filter(request.query)
    since, before = chosen(request, "from"), chosen(request, "to")
    wanted = replace(wanted, since=since, until=before - _MILLISECOND if before else None)
    depths = parts.dead_letters.depths()
    page = wanted
    if trail.until and (page.until is None or trail.until < page.until):
        page = replace(page, until=trail.until)
    pairs = [(reason, status) for reason, status, _, _ in depths]
    found = parts.letters.page(page, pairs, _PAGE + 1, trail.skip)
    groups = grouped(depths)
    return {
        "groups": groups,
        "waiting": sum(group.count for group in groups),
        "wanted": wanted,
        "status": request.query.get("status", ""),
        "statuses": STATUSES,
        "reasons": REASONS,
        "rows": [_row(parts, entry) for entry in found[:_PAGE]],
        "links": trail.links(request, found, _PAGE, lambda entry: entry["last_seen"]),
        "filtered": any(request.query.get(name) for name in ("reason", "type", "from", "to")),
    }


def dead_letter_filter(fields: Fields) -> DeadLetterFilter:
    """What the fields `reason`, `status` and `type` ask for: without a status, all that wait."""
    status = fields.get("status", "")
    statuses = UNRESOLVED if status not in STATUSES else (status,)
    return DeadLetterFilter(
        reason=fields.get("reason", "")[:_MOST_TEXT],
        statuses=() if status == ANY else statuses,
        event_type=fields.get("type", "").strip()[:_MOST_TEXT],
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


def _row(parts: Parts, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": entry["_id"],
        "reason": entry["reason"],
        "status": entry["status"],
        "type": entry.get("event_type"),
        "event_id": parts.redaction.event_id(entry.get("event_id"), entry.get("event_type")),
        "seen": entry["seen"],
        "last_seen": entry["last_seen"],
        "says": entry.get("diagnosis") or entry["error_message"],
        "next": entry.get("next_retry_at"),
    }
