"""Show the dead letters: how many wait for what, and a page of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from consumer.console.context import Context
from consumer.console.pagination import KeysetPage
from consumer.console.request import Fields, Request
from consumer.console.wording import REASONS, STATUSES
from consumer.core.delivery import MAIN
from consumer.dead_letters.retry import DISCARDED, RESOLVED, UNRESOLVED
from consumer.dead_letters.search import DeadLetterFilter

ANY = "any"
# Letters that are read for a page, and those of a cause that it lists.
_PAGE = 200
_SHOWN = 20
FIELDS = ("reason", "status", "type", "source", "from", "to")
# What differs between messages of one cause: numbers, and what is quoted.
_VARIES = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")
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
    """Groups of all entries, and a page of those that are asked for."""
    page, query = KeysetPage.of(request), request.query
    wanted = replace(
        dead_letter_filter(query), since=query.time("from"), until=query.time_before("to")
    )
    depths = context.dead_letters.depths()
    asked = wanted
    if page.until and (asked.until is None or page.until < asked.until):
        asked = replace(asked, until=page.until)
    pairs = [(reason, status) for reason, status, _, _ in depths]
    found = context.dead_letter_search.page(asked, pairs, _PAGE + 1, page.skip)
    groups = grouped(depths)
    causes = by_cause([_row(context, entry) for entry in found[:_PAGE]])
    return {
        "groups": groups,
        "waiting": sum(group.count for group in groups),
        "wanted": wanted,
        "status": query.get("status", ""),
        "statuses": STATUSES,
        "reasons": REASONS,
        "causes": causes,
        "shown": _SHOWN,
        "fields": {name: query[name] for name in FIELDS if query.get(name)},
        # Of an installation without others nothing tells a source.
        "sources": [*context.settings.every_source] if context.settings.sources else [],
        "tells_source": any(entry.get("source") for entry in found),
        "links": page.links(request, found, _PAGE, lambda entry: entry["last_seen"]),
        "filtered": any(query.get(name) for name in ("reason", "type", "source", "from", "to")),
    }


def dead_letter_filter(fields: Fields) -> DeadLetterFilter:
    """The filter in the fields `reason`, `status`, `type` and `source`: without a status, all that
    wait."""
    status = fields.get("status", "")
    statuses = UNRESOLVED if status not in STATUSES else (status,)
    return DeadLetterFilter(
        reason=fields.get("reason", "")[:_MOST_TEXT],
        statuses=() if status == ANY else statuses,
        event_type=fields.get("type", "").strip()[:_MOST_TEXT],
        source=fields.get("source", "")[:_MOST_TEXT],
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


@dataclass(frozen=True, slots=True)
class Cause:
    """Letters, the last seen first, that are alike in reason, status, type and message."""

    rows: list[dict[str, Any]]

    @property
    def ids(self) -> str:
        return " ".join(str(row["id"]) for row in self.rows)

    @property
    def seen(self) -> int:
        return sum(row["seen"] for row in self.rows)


def by_cause(rows: Iterable[dict[str, Any]]) -> list[Cause]:
    """The letters of each cause, that of the last seen one first."""
    found: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for row in rows:
        message = _VARIES.sub("", str(row["message"]))
        alike = (row["reason"], row["status"], row["type"], row["source"], message)
        found.setdefault(alike, []).append(row)
    return [Cause(each) for each in found.values()]


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
