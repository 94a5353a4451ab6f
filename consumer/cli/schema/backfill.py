"""`schema backfill`: give older documents the fields that newer versions added, now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from config.loading import Settings
from consumer.cli.console import console, error_console, print_json, shown, table
from consumer.cli.context import AsJson
from consumer.cli.schema.shared import Context, head_of, opened
from consumer.core.clock import utc_now
from consumer.core.errors import SetupError
from consumer.core.ratelimit import RateLimit
from consumer.core.text import safe
from jobs.backfill.pace import Pace

if TYPE_CHECKING:
    from jobs.backfill.job import Backfill, BackfillRules, Behind

# Seconds between lines on a run whose output is not a terminal.
_SAY_EVERY = 10.0


def backfill(
    ctx: typer.Context,
    *,
    type_: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Only this event type.")
    ] = None,
    subject: Annotated[str | None, typer.Option("--type", help="The same.")] = None,
    unfilled: Annotated[
        bool,
        typer.Option("--unfilled", help="Fill what was left out on purpose, as far as it can be."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is behind.")] = False,
    no_throttle: Annotated[
        bool, typer.Option("--no-throttle", help="As fast as MongoDB can; ingest may feel it.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Fill what older documents lack, without waiting for the service to do it.

    It can be interrupted and run again, and beside the service: each document is filled once. What
    was refused before is tried again. Documents that say that something was left out on purpose,
    for it was refused, beyond the bound, or nothing was to be filled, are filled with --unfilled.

    Exit status: 0 nothing is left behind, 1 documents were refused or remain.
    """
    subject = type_ or subject
    with opened(ctx) as context:
        if subject is not None:
            head_of(context.shared, subject)
        if unfilled:
            return _unfilled(context, subject, dry_run=dry_run, fast=no_throttle, as_json=as_json)
        job = _job(context, no_throttle)
        found = job.behind(subject)
        if not as_json:
            _print_behind(found)
        result = None
        if found and not dry_run:
            context.record("schema backfill", subject=subject, documents=_documents(found))
            result = _carry_out(job, found)
    if as_json:
        print_json({"behind": [asdict(work) for work in found], "result": result})
    elif result is not None:
        _print_result(result)
    return 1 if result is not None and result["remaining"] else 0


def _rules(settings: Settings) -> BackfillRules:
    # All jobs of the service and what they report through, which the other commands do without.
    from consumer.runtime.jobs import backfill_rules

    return backfill_rules(settings)


def _job(context: Context, no_throttle: bool) -> Backfill:
    from consumer.mongodb.client import DEAD_LETTERS, EVENTS
    from consumer.mongodb.indexes import create_indexes
    from jobs.backfill.failures import MigrationFailures
    from jobs.backfill.job import Backfill, BackfillRules
    from jobs.backfill.run import BackfillParts
    from jobs.backfill.store import BackfillStore

    shared = context.shared
    shared.to_write()
    # The service made them when it began; this may be before that.
    create_indexes(shared.database)
    configured = _rules(context.settings)
    # A person who asks for it does not mean to wait for quiet.
    rules = BackfillRules(
        quiet=0, pace=replace(configured.pace, throttle=not no_throttle), retry_refused=True
    )
    tools = BackfillParts(
        store=BackfillStore(shared.database[EVENTS]),
        failures=MigrationFailures(shared.database[DEAD_LETTERS]),
        clock=utc_now,
    )
    return Backfill(shared.registry, tools, shared.metrics, rules)


def _unfilled(
    context: Context, subject: str | None, *, dry_run: bool, fast: bool, as_json: bool
) -> int:
    """Fill the documents that lack something on purpose."""
    from consumer.mongodb.client import EVENTS
    from consumer.mongodb.indexes import create_indexes
    from jobs.backfill.unfilled import UnfilledDocuments, fill_unfilled

    if context.settings.cxone_defaults == "none":
        raise SetupError("CXONE_DEFAULTS=none fills nothing: set it to null or typed first")
    shared = context.shared
    shared.to_write()
    create_indexes(shared.database)
    documents = UnfilledDocuments(shared.database[EVENTS])
    found = {name: n for name, n in documents.count().items() if subject in (None, name)}
    if not as_json:
        rows = sorted(found.items())
        title = "Documents that lack fields on purpose"
        console().print(table(("subject", "documents"), rows, title=title) if rows else "None.")
    result = None
    if found and not dry_run:
        total = sum(found.values())
        context.record("schema backfill --unfilled", subject=subject, documents=total)
        rules = replace(_rules(context.settings).pace, throttle=not fast)
        with _bar(total) as run:
            result = fill_unfilled(documents, shared.registry, found, Pace(rules), run)
    if as_json:
        print_json({"unfilled": found, "result": result})
    elif result is not None:
        console().print(
            f"Filled {result['documents']:,} documents in {result['seconds']:,.1f} s;"
            f" {result['unfilled']:,} lack something still, of which {result['refused']:,} refuse"
            " all of it."
        )
    return 1 if result is not None and result["refused"] else 0


def _documents(found: Sequence[Behind]) -> int:
    return sum(work.documents for work in found)


def _print_behind(found: Sequence[Behind]) -> None:
    if not found:
        console().print("No document is behind.")
        return
    rows = [
        (each.subject, each.documents, each.lowest, each.head, each.fields, each.retired or None)
        for each in found
    ]
    columns = (
        *("subject", "documents", "oldest version", "newest version", "fields at most"),
        "retired fields",
    )
    console().print(table(columns, rows, title="Documents that lack fields"))


def _carry_out(job: Backfill, found: list[Behind]) -> dict[str, Any]:
    with _bar(_documents(found)) as run:
        return job.fill(found, run)


class _TerminalRun:
    """The run of a job as a bar on the terminal; nobody stops it but Ctrl-C."""

    fence = 0

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._lines = RateLimit(_SAY_EVERY, utc_now)
        # A run that ends soon needs none.
        self._lines.allow("progress")
        self._total = total
        self._task = bar.add_task("filling", total=total, rate="")

    def stopping(self) -> bool:
        return False

    def progress(self, **facts: object) -> None:
        remaining = facts.get("remaining")
        if isinstance(remaining, int):
            self._bar.update(
                self._task,
                completed=self._total - remaining,
                description=safe(str(facts.get("subject", "filling"))),
                rate=f"{shown(facts.get('rate'))} a second",
            )
            if self._bar.disable and self._lines.allow("progress") is not None:
                # A file shows no bar.
                self._bar.console.print(_line(facts))


def _line(facts: Mapping[str, object]) -> str:
    return (
        f"{safe(str(facts.get('subject')))}: {shown(facts.get('remaining'))} remain,"
        f" {shown(facts.get('rate'))} a second, ends about {shown(facts.get('estimated_end'))}"
    )


@contextmanager
def _bar(total: int) -> Iterator[_TerminalRun]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,} of {task.total:,}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    err = error_console()
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        yield _TerminalRun(progress, total)


def _print_result(result: dict[str, Any]) -> None:
    out = console()
    out.print(f"Filled {result['documents']:,} documents in {result['seconds']:,.1f} s.")
    if result["left"]:
        out.print(
            f"{result['left']:,} keep values of retired fields: they are not those that were filled"
            " in, or nobody can tell."
        )
    if result["failed"]:
        out.print(
            f"MongoDB refused {result['failed']:,}: "
            "`cxone-consumer dlq list --reason migration_failed` shows why."
        )
    if result["unfilled"]:
        out.print(
            f"{result['unfilled']:,} of them take not all that they lack: an index or the validator"
            " refuses it."
        )
