"""Show every subject with its newest version, its documents, and what waits for approval."""

from __future__ import annotations

from typing import Any

from consumer.adoption.history import Counted
from consumer.console.context import Context
from consumer.console.pagination import OffsetPage
from consumer.console.request import Request
from consumer.readers.judge import Tally
from consumer.schemas.registry.versions import SchemaSummary

_PAGE = 50
SORTS = {
    "name": "Name",
    "changed": "Last change",
    "documents": "Documents",
    "fields": "Fields",
    "held": "Held",
    "broken": "Broken readers",
}


def view(context: Context, request: Request) -> dict[str, Any]:
    """A page of subjects, filtered by a part of the name, in the order that is asked for."""
    summaries = context.summaries()
    counted = context.documents()
    held = held_by_subject(context)
    tallies = context.tallies()
    wanted = request.query.get("q", "").strip().lower()
    sort = request.query.get("sort", "name")
    rows = [
        _row(each, counted, held.get(each.subject, 0), tallies.get(each.subject, Tally()))
        for each in summaries
        if wanted in each.subject.lower()
    ]
    rows.sort(key=_key(sort))
    page = OffsetPage.of(request, _PAGE)
    shown = rows[page.skip :]
    return {
        "subjects": page.rows(shown),
        "links": page.links(request, shown),
        "count": len(summaries),
        "found": len(rows),
        "held": sum(held.values()),
        "upto": counted.upto,
        "q": request.query.get("q", ""),
        "sort": sort if sort in SORTS else "name",
        "sorts": SORTS,
    }


def held_by_subject(context: Context) -> dict[str, int]:
    """The number of deliveries that each subject's contract holds."""
    counts = context.held.dead_letters.counts()
    if context.one_subject is not None:
        return {context.one_subject: sum(counts.values())}
    return {subject: count for subject, count in counts.items() if subject is not None}


def _row(summary: SchemaSummary, counted: Counted, held: int, tally: Tally) -> dict[str, Any]:
    versions = counted.documents.get(summary.subject, {})
    documents = sum(versions.values())
    adopted = versions.get(summary.version, 0)
    return {
        "subject": summary.subject,
        "version": summary.version,
        "fields": summary.fields,
        "changed": summary.changed_at,
        "documents": documents,
        "adopted": adopted / documents if documents else None,
        "held": held,
        "readers": len(tally.readers),
        "broken": len(tally.broken),
    }


def _key(sort: str) -> Any:
    if sort == "changed":
        return lambda row: (-row["changed"].timestamp(), row["subject"])
    if sort in ("documents", "fields", "held", "broken"):
        return lambda row: (-row[sort], row["subject"])
    return lambda row: row["subject"]
