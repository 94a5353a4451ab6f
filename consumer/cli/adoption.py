"""`adoption`: how far each schema version has spread, and to count it anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from consumer.cli.adoption_view import as_document, show
from consumer.cli.console import console, error_console, print_json
from consumer.cli.context import load_settings
from consumer.clock import utc_now
from consumer.errors import SetupError
from consumer.runtime import open_core
from consumer.storage.retention import retained_from
from jobs.adoption_report import Heads, Report, only, report
from jobs.adoption_rollup import Bounds, Ledger, ledger, rebuild

app = typer.Typer(invoke_without_command=True)

_HISTORY = timedelta(hours=24)


@app.callback()
def adoption(
    ctx: typer.Context,
    subject: Annotated[str | None, typer.Option(help="Only this subject.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again until Ctrl+C.")] = False,
    every: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds between two looks of --watch.")
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show how far each schema version has spread, and which versions senders exhibit."""
    if ctx.invoked_subcommand is not None:
        return
    with _opened(ctx) as (book, heads, days):
        while True:
            found = _look(book, heads, _bounds(days), subject)
            if as_json:
                print_json(as_document(found))
            else:
                out = console()
                if watch and out.is_terminal:
                    out.clear()
                show(out, found, whole=subject is not None)
            if not watch:
                return
            time.sleep(every)


@app.command("rebuild")
def rebuild_counts(ctx: typer.Context) -> None:
    """Count every event again, as after some were deleted by hand; reports go on meanwhile."""
    with _opened(ctx) as (book, _, days):
        bounds = _bounds(days)
        first = book.events.first() or bounds.now
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

            rebuild(book, bounds, lambda: False, progress)
        console().print(f"Counted all events up to {bounds.closed:%Y-%m-%d %H:%M}Z again.")


def _look(book: Ledger, heads: Heads, bounds: Bounds, subject: str | None) -> Report:
    if subject is None:
        return report(book, heads, bounds, _HISTORY)
    found = only(report(book, heads, bounds, _HISTORY, busiest=None), subject)
    if not found.figures:
        raise SetupError(
            f"no document of the subject {subject!r}: `cxone-consumer adoption` shows all"
        )
    return found


def _bounds(days: int) -> Bounds:
    now = utc_now()
    return Bounds(now, retained_from(now, days))


@contextmanager
def _opened(ctx: typer.Context) -> Iterator[tuple[Ledger, Heads, int]]:
    settings = load_settings(ctx)
    with open_core(settings) as core:
        yield ledger(core.database), core.registry, settings.cxone_retention_days
