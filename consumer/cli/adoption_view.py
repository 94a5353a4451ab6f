"""Draw a report of adoption: a table of figures, bars by version, and the last hours."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from rich.console import Console

from consumer.cli.console import table
from consumer.timegrid import HOUR, hour_of
from jobs.adoption_report import Report

_WIDTH = 30
_HOURS = 24
# So many subjects are drawn beside the table; one is drawn whole when it is asked for.
_DRAWN = 5
_VERSIONS = 8
# From little to much; the first is for none.
_UNICODE = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#@"


def show(out: Console, report: Report, *, whole: bool) -> None:
    """Print a report; `whole`: every version of every subject in it."""
    if not report.figures:
        out.print("No documents are counted yet.")
        return
    out.print(_figures(report))
    unicode = out.encoding.lower().startswith("utf")
    drawn = [each.subject for each in report.figures if each.subject in report.versions]
    for subject in drawn if whole else drawn[:_DRAWN]:
        out.print(_versions(report, subject, _UNICODE if unicode else _ASCII, whole))
    if not whole and len(drawn) > _DRAWN:
        out.print(f"{len(drawn) - _DRAWN} more: `adoption --subject SUBJECT` draws one.")


def as_document(report: Report) -> dict[str, Any]:
    """The report for programs: `figures`, `versions` by subject, `hours` by exhibited version."""
    return {
        "at": report.at,
        "figures": report.figures,
        "versions": {
            subject: [
                {"version": version, "documents": count} for version, count in versions.items()
            ]
            for subject, versions in report.versions.items()
        },
        "hours": [
            {"hour": hour, "subject": subject, "exhibited_version": version, "events": count}
            for (hour, subject, version), count in report.hours.items()
        ],
    }


def bar(share: float, levels: str) -> str:
    """A bar of fixed width for a share from 0 to 1; a share above 0 is never drawn as none."""
    full = max(1 if share > 0 else 0, round(share * _WIDTH))
    return levels[-1] * full + ("." if levels is _ASCII else "░") * (_WIDTH - full)


def sparkline(values: list[int], most: int, levels: str) -> str:
    """One character for each value, relative to `most`."""
    steps = len(levels) - 1
    return "".join(levels[-(-value * steps // most) if most else 0] for value in values)


def _figures(report: Report) -> Any:
    return table(
        (
            "subject",
            "latest",
            "documents",
            "adopted",
            "adoption",
            "producers, last hour",
            "conforming",
            "unfilled",
        ),
        [
            (
                each.subject,
                each.latest_version or None,
                each.total,
                each.adopted,
                _percent(each.adoption_rate),
                _percent(each.producer_adoption_rate),
                _percent(each.conforming_rate),
                each.unfilled or None,
            )
            for each in report.figures
        ],
        title=f"Adoption at {report.at:%Y-%m-%d %H:%M:%S}Z",
    )


def _versions(report: Report, subject: str, levels: str, whole: bool) -> Any:
    versions = report.versions[subject]
    total = sum(versions.values())
    last = hour_of(report.at)
    hours = [last - HOUR * back for back in reversed(range(_HOURS))]
    sent = _sent(report, subject)
    shown = sorted({*versions, *sent}, reverse=True)
    most = max((count for of in sent.values() for count in of.values()), default=0)
    rows = [
        (
            f"{version}",
            versions.get(version, 0),
            f"{bar(versions.get(version, 0) / total, levels)} "
            f"{_percent(100 * versions.get(version, 0) / total)}",
            sum(sent[version].get(hour, 0) for hour in hours),
            f"|{sparkline([sent[version].get(hour, 0) for hour in hours], most, levels)}|",
        )
        for version in (shown if whole else shown[:_VERSIONS])
    ]
    columns = ("version", "stamped", "share of documents", "sent, 24 h", "by hour, to now")
    older = "" if whole or len(shown) <= _VERSIONS else f" (the newest {_VERSIONS} versions)"
    return table(columns, rows, title=f"{subject}{older}")


def _sent(report: Report, subject: str) -> dict[int, dict[datetime, int]]:
    """Events by the version their payload exhibits, and hour."""
    sent: defaultdict[int, dict[datetime, int]] = defaultdict(dict)
    for (hour, of, version), count in report.hours.items():
        if of == subject:
            sent[version][hour] = count
    return sent


def _percent(rate: float | None) -> str | None:
    # Cut, not rounded: 99.96 % is not done yet.
    return None if rate is None else f"{int(rate * 10) / 10:.1f} %"
