"""`adoption`: draw how far each schema version has spread, or count it anew."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from consumer.cli.console import console, error_console, print_json, table
from consumer.cli.context import AsJson, load_settings, open_shared
from consumer.cli.options import EventType
from consumer.core.clock import HOUR, hour_of, utc_now
from consumer.core.errors import SetupError

if TYPE_CHECKING:
    from consumer.adoption.report import Heads, Report
    from consumer.adoption.rollup import Bounds, Stores

_HISTORY = timedelta(hours=24)
_WIDTH = 30
_HOURS = 24
# So many subjects are drawn beside the table; one is drawn whole when it is asked for.
_DRAWN = 5
_VERSIONS = 8
# From little to much; the first is for none.
_UNICODE = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#@"


def adoption(
    ctx: typer.Context,
    subject: EventType = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again until Ctrl+C.")] = False,
    every: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds between two looks of --watch.")
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Show how far each schema version has spread, and which versions senders exhibit."""
    if ctx.invoked_subcommand is not None:
        return
    with _opened(ctx) as (stores, heads, days):
        while True:
            found = _read_report(stores, heads, _bounds(days), subject)
            if as_json:
                print_json(as_document(found))
            else:
                out = console()
                if watch and out.is_terminal:
                    out.clear()
                print_report(out, found, whole=subject is not None)
            if not watch:
                return
            time.sleep(every)


def rebuild_counts(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Count every event again, as after some were deleted by hand; reports go on meanwhile."""
    from consumer.adoption.rollup import rebuild

    with _opened(ctx) as (stores, _, days):
        bounds = _bounds(days)
        first = stores.events.first() or bounds.now
        err = error_console()
        columns = (TextColumn("Counting"), BarColumn(), TextColumn("{task.description}"))
        with Progress(
            *columns,
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
            transient=True,
        ) as bar:
            task = bar.add_task("", total=max(1.0, (bounds.closed - first).total_seconds()))

            def progress(at: datetime) -> None:
                done = (at - first).total_seconds()
                bar.update(task, completed=done, description=f"{at:%Y-%m-%d %H:%M}Z")

            rebuild(stores, bounds, lambda: False, progress)
    if as_json:
        print_json({"counted_to": bounds.closed})
    else:
        console().print(f"Counted all events up to {bounds.closed:%Y-%m-%d %H:%M}Z again.")


def _read_report(stores: Stores, heads: Heads, bounds: Bounds, subject: str | None) -> Report:
    from consumer.adoption.report import only, report

    if subject is None:
        return report(stores, heads, bounds, _HISTORY)
    found = only(report(stores, heads, bounds, _HISTORY, busiest=None), subject)
    if not found.figures:
        raise SetupError(
            f"no document of the subject {subject!r}: `cxone-consumer adoption` shows all"
        )
    return found


def _bounds(days: int) -> Bounds:
    from consumer.adoption.rollup import Bounds
    from consumer.mongodb.retention import retained_from

    now = utc_now()
    return Bounds(now, retained_from(now, days))


@contextmanager
def _opened(ctx: typer.Context) -> Iterator[tuple[Stores, Heads, int]]:
    from consumer.adoption.rollup import adoption_stores

    settings = load_settings(ctx)
    with open_shared(settings) as shared:
        yield adoption_stores(shared.database), shared.registry, settings.cxone_retention_days


def print_report(out: Console, report: Report, *, whole: bool) -> None:
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
        out.print(f"{len(drawn) - _DRAWN} more: `adoption --type TYPE` draws one.")


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
    """One row a subject; heads are single short words where they can be, for 80 columns."""
    told = any(each.unfilled for each in report.figures)
    return table(
        (
            "subject",
            "latest",
            "documents",
            "adopted",
            "producers",
            "conforming",
            *["unfilled"] * told,
        ),
        [
            (
                each.subject,
                each.latest_version or None,
                each.total,
                _percent(each.adoption_rate),
                _percent(each.producer_adoption_rate),
                _percent(each.conforming_rate),
                *[each.unfilled or None] * told,
            )
            for each in report.figures
        ],
        title=f"Adoption at {report.at:%Y-%m-%d %H:%M:%S}Z, of producers in the last hour",
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
