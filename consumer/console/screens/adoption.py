"""Show the spread of schema versions: one subject in a picture, and all of them in a table."""

from __future__ import annotations

from collections import Counter
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
        found["versions"] = version_rows(documents, sent, newest[name])
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
    """`documents` are stamped with the version; `sent` events exhibit it in the span. Shares are in
    percent. `name` is its number, or says what else is counted there."""

    name: str
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
    return draw(title, "per hour", labels, series, width=1040, height=260, total=_total)


def version_rows(documents: Mapping[int, int], sent: Sent, newest: int) -> list[VersionRow]:
    """The versions that documents are stamped with or producers send, the newest first, those
    beyond a bound together: what is left out nowhere adds up to 100 %."""
    came: Counter[int] = Counter()
    for of in sent.hours.values():
        came.update(of)
    stamped = Counter(documents)
    colours = dict(zip(sorted(came, reverse=True), _COLOURS, strict=False))
    numbers = sorted({newest, *+came, *+stamped}, reverse=True)
    groups = [[version] for version in numbers[:_VERSIONS]]
    if older := numbers[_VERSIONS:]:
        groups.append(older)
    kept = [sum(stamped[version] for version in group) for group in groups]
    came_by = [sum(came[version] for version in group) for group in groups]
    rows = zip(groups, kept, shares(kept), came_by, shares(came_by), strict=True)
    return [
        VersionRow(_name(group), many, share, sent, sent_share, colours.get(group[0], _OLDER))
        for group, many, share, sent, sent_share in rows
    ]


def _name(group: list[int]) -> str:
    if len(group) > 1:
        return f"{len(group):,} older"
    return f"version {group[0]}" if group[0] else "not registered"


def shares(counts: Sequence[int]) -> list[float]:
    """Percent with one decimal that add up to 100, as far as there is anything; what is there is
    0.1 at least, so that 99.96 % is not all."""
    total = sum(counts)
    if not total:
        return [0.0] * len(counts)
    exact = [1000 * count / total for count in counts]
    tenths = [max(1, int(each)) if each else 0 for each in exact]
    # What was cut off most is filled up first; what is too much comes from the largest.
    left = 1000 - sum(tenths)
    order = sorted(range(len(counts)), key=lambda n: tenths[n] - exact[n])
    for n in order[: max(0, left)]:
        tenths[n] += 1
    tenths[tenths.index(max(tenths))] += min(0, left)
    return [each / 10 for each in tenths]


def _of(sent: Sent, hour: datetime, versions: Sequence[int]) -> int:
    found = sent.hours.get(hour, {})
    return sum(found.get(version, 0) for version in versions)


def _total(values: Sequence[float | None]) -> str:
    return f"{sum(value or 0 for value in values):,.0f}"
