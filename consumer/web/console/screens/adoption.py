"""How far each schema version has spread: one subject in a picture, and all of them in a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from consumer.web.console.adoption_view import (
    SPANS,
    USUAL_SPAN,
    hours_of_span,
    picture,
    version_rows,
)
from consumer.web.console.answers import Missing
from consumer.web.console.pager import Pager
from consumer.web.console.parts import Parts
from consumer.web.console.request import Request

_PAGE = 25
_VERSIONS = 20
_JOB = "adoption"


def show(parts: Parts, request: Request) -> dict[str, Any]:
    """The subject that the query names, else the one with the most documents."""
    newest = {each.subject: each.version for each in parts.summaries()}
    counted = parts.documents()
    totals = {subject: sum(of.values()) for subject, of in counted.documents.items()}
    busiest = sorted(newest, key=lambda subject: (-totals.get(subject, 0), subject))
    name = request.query.get("name") or next(iter(busiest), "")
    if name and name not in newest:
        raise Missing(f"There is no schema “{name[:200]}”.")
    figures, reported = _reported(parts)
    span = request.query.get("span", USUAL_SPAN)
    span = span if span in SPANS else USUAL_SPAN
    pager = Pager.of(request, _PAGE)
    page = busiest[pager.skip : pager.skip + pager.asked]
    rows = [
        _row(subject, newest[subject], counted.documents.get(subject, {}), figures)
        for subject in page
    ]
    found: dict[str, Any] = {
        "name": name,
        "span": span,
        "spans": list(SPANS),
        "subjects": pager.taken(rows),
        "pager": pager.told(len(page)),
        "reported": reported,
        "upto": counted.upto,
    }
    if name:
        documents = counted.documents.get(name, {})
        hours = hours_of_span(span, request.now)
        sent = parts.adoption.sent(name, hours)
        found["subject"] = _row(name, newest[name], documents, figures)
        found["chart"] = picture(sent, hours)
        found["versions"] = version_rows(documents, sent, newest[name])[:_VERSIONS]
    return found


def _row(
    subject: str,
    newest: int,
    documents: Mapping[int, int],
    figures: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """`adopted`, `producers` and `conforming` in percent; None where that is not known. The last
    two are as of the last report, which has the busiest subjects only."""
    total = sum(documents.values())
    told = figures.get(subject, {})
    return {
        "subject": subject,
        "newest": newest,
        "documents": total,
        "adopted": 100 * documents.get(newest, 0) / total if total else None,
        "producers": told.get("producer_adoption_rate"),
        "conforming": told.get("conforming_rate"),
    }


def _reported(parts: Parts) -> tuple[dict[str, dict[str, Any]], datetime | None]:
    """What the last report of the fleet said of each subject, and when it was made."""
    run = parts.job_runs.last_success(_JOB)
    if run is None:
        return {}, None
    figures = (run.get("result") or {}).get("figures", [])
    return {each["subject"]: each for each in figures}, run["started_at"]
