"""Show the spread of schema versions: one subject in a picture, and all of them in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consumer.adoption.history import Sent
from consumer.console.answers import Missing
from consumer.console.charts import Chart, Series, draw
from consumer.console.context import Context
from consumer.console.pagination import OffsetPage
from consumer.console.request import Request
from consumer.core.clock import HOUR, hour_of

_PAGE = 25
_VERSIONS = 20
_JOB = "adoption"
# The newest versions have a colour each; older ones share a grey.
_COLOURS = ("c1", "c0", "c2", "c4", "c3", "c5", "c6")
_OLDER = "c7"
SPANS = {"24h": 24, "3d": 72, "7d": 168}
USUAL_SPAN = "24h"


def view(context: Context, request: Request) -> dict[str, Any]:
    """The subject that the query names, else the one with the most documents."""
    newest = {each.subject: each.version for each in context.summaries()}
    counted = context.documents()
    totals = {subject: sum(of.values()) for subject, of in counted.documents.items()}
    busiest = sorted(newest, key=lambda subject: (-totals.get(subject, 0), subject))
    name = request.query.get("name") or next(iter(busiest), "")
    if name and name not in newest:
        raise Missing(f"There is no schema “{name[:200]}”.")
    figures, reported = _reported(context)
    span = request.query.get("span", USUAL_SPAN)
    span = span if span in SPANS else USUAL_SPAN
    page = OffsetPage.of(request, _PAGE)
    asked = busiest[page.skip : page.skip + page.limit]
    rows = [
        _row(subject, newest[subject], counted.documents.get(subject, {}), figures)
        for subject in asked
    ]
    found: dict[str, Any] = {
        "name": name,
        "span": span,
        "spans": list(SPANS),
        "subjects": page.rows(rows),
        "links": page.links(request, asked),
        "reported": reported,
        "upto": counted.upto,
    }
    if name:
        documents = counted.documents.get(name, {})
        hours = hours_of_span(span, request.now)
        sent = context.adoption.sent(name, hours)
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
    reported = figures.get(subject, {})
    return {
        "subject": subject,
        "newest": newest,
        "documents": total,
        "adopted": 100 * documents.get(newest, 0) / total if total else None,
        "producers": reported.get("producer_adoption_rate"),
        "conforming": reported.get("conforming_rate"),
    }


def _reported(context: Context) -> tuple[dict[str, dict[str, Any]], datetime | None]:
    """The figures of each subject in the last report of the fleet, and when it was made."""
    run = context.job_runs.last_success(_JOB)
    if run is None:
        return {}, None
    figures = (run.get("result") or {}).get("figures", [])
    return {each["subject"]: each for each in figures}, run["started_at"]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """`documents` are stamped with the version; `sent` events exhibit it in the span."""

    version: int
    documents: int
    share: float
    sent: int
    sent_share: float
    colour: str


def hours_of_span(span: str, now: datetime) -> list[datetime]:
    """The hours of a span of SPANS, the current one last."""
    last = hour_of(now)
    return [last - HOUR * back for back in reversed(range(SPANS[span]))]


def picture(sent: Sent, hours: Sequence[datetime]) -> Chart | None:
    """Events an hour by the version that their payloads exhibit, the newest at the bottom; None
    where nothing came."""
    versions = sorted({each for of in sent.hours.values() for each in of}, reverse=True)
    if not versions:
        return None
    own, older = versions[: len(_COLOURS)], versions[len(_COLOURS) :]
    series = [
        Series(f"version {version}", colour, [_of(sent, hour, (version,)) for hour in hours])
        for version, colour in zip(own, _COLOURS, strict=False)
    ]
    if older:
        series.append(Series("older", _OLDER, [_of(sent, hour, older) for hour in hours]))
    is_long = len(hours) > 24
    labels = [f"{hour:%a %H:%M}" if is_long else f"{hour:%H:%M}" for hour in hours]
    title = "Events an hour by the version that their producers send"
    return draw(title, labels, series, width=1040, height=260, total=_total)


def version_rows(documents: Mapping[int, int], sent: Sent, newest: int) -> list[VersionRow]:
    """Every version that a document is stamped with or a producer sends, the newest first."""
    came: dict[int, int] = {}
    for of in sent.hours.values():
        for version, count in of.items():
            came[version] = came.get(version, 0) + count
    stamped, all_sent = max(1, sum(documents.values())), max(1, sum(came.values()))
    shown = sorted(came, reverse=True)
    colours = dict(zip(shown, _COLOURS, strict=False))
    numbers = {newest, *came, *(version for version, count in documents.items() if count)}
    return [
        VersionRow(
            version=version,
            documents=documents.get(version, 0),
            share=documents.get(version, 0) / stamped,
            sent=came.get(version, 0),
            sent_share=came.get(version, 0) / all_sent,
            colour=colours.get(version, _OLDER),
        )
        for version in sorted(numbers - {0}, reverse=True)
    ]


def _of(sent: Sent, hour: datetime, versions: Sequence[int]) -> int:
    found = sent.hours.get(hour, {})
    return sum(found.get(version, 0) for version in versions)


def _total(values: Sequence[float | None]) -> str:
    return f"{sum(value or 0 for value in values):,.0f}"
