"""`status`: how the service is doing, in all its processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from consumer.cli.console import console, print_json, shown, table
from consumer.cli.context import load_settings
from consumer.human import duration
from consumer.options import mongodb_uri
from consumer.overview import JobState, Overview, gather
from consumer.printable import safe
from consumer.runtime import open_core

# A subject a line: more are for `schema list`.
_MOST_SUBJECTS = 20


def status(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    uri: Annotated[
        bool,
        typer.Option(
            "--uri",
            help="Print only the URI of MongoDB, for mongosh and Compass; its password is in it.",
        ),
    ] = False,
) -> None:
    """Show processes, jobs, MongoDB, dead letters, spools, Datadog and schemas."""
    settings = load_settings(ctx)
    if uri:
        typer.echo(mongodb_uri(settings))
        return
    with open_core(settings) as core:
        overview = gather(core.client, core.database, core.registry, core.dead_letters)
        contradictions = core.registry.contradictions()
    if as_json:
        told = [{"finding": each.finding, "remedy": each.remedy} for each in contradictions]
        print_json({**as_plain(overview), "contradictions": told})
        return
    out = console()
    for part in parts(overview):
        out.print(part)
    for each in contradictions[:_MOST_SUBJECTS]:
        out.print(safe(f"{each.finding}: `{each.remedy}`"), soft_wrap=True)


def as_plain(overview: Overview) -> dict[str, Any]:
    """The overview for programs, with the state of each process spelled out."""
    return {
        "at": overview.at,
        "mongodb": overview.store,
        "instances": [
            {
                "id": process.id,
                "host": process.host,
                "pid": process.pid,
                "version": process.version,
                "state": process.state,
                "started": process.started,
                "silent_seconds": round(process.silent, 1),
                "spool": process.spool,
            }
            for process in overview.instances
        ],
        "jobs": overview.jobs,
        "dead_letters": overview.dead_letters,
        "datadog": overview.datadog,
        "subjects": overview.subjects,
        "clocks": overview.clocks,
    }


def parts(overview: Overview) -> Iterator[Any]:
    """What people read, from top to bottom."""
    store = overview.store
    yield safe(
        f"MongoDB {store.version}, {store.topology}; database {store.database},"
        f" about {store.documents:,} event(s)"
    )
    yield from map(safe, store.faults)
    yield from _instances(overview)
    yield from _jobs(overview)
    yield from _dead_letters(overview)
    success = shown(overview.datadog.last_success)
    yield safe(f"Datadog: last success {success}")
    for state in overview.datadog.states:
        yield safe(f"  {state}")
    yield from _subjects(overview)


def _instances(overview: Overview) -> Iterator[Any]:
    if not overview.instances:
        yield "No process of the service has given a sign of life in the last hour."
        return
    rows = [
        (
            process.id,
            process.state,
            process.version,
            process.started,
            f"{duration(process.silent)} ago",
            _spool(process.spool),
        )
        for process in overview.instances
    ]
    yield table(
        ("instance", "state", "version", "started", "last seen", "spool"), rows, "Processes"
    )
    yield from map(safe, overview.clocks)


def _jobs(overview: Overview) -> Iterator[Any]:
    if not overview.jobs:
        yield "No job has run yet."
        return
    rows = [
        (
            job.job,
            job.outcome,
            job.started,
            duration(job.seconds),
            job.next_due,
            job.holder if job.exclusive else job.instance,
            _told(job),
        )
        for job in overview.jobs
    ]
    columns = ("job", "last run", "started", "took", "next due", "holder", "what it says")
    yield table(columns, rows, "Jobs")


def _dead_letters(overview: Overview) -> Iterator[Any]:
    if not overview.dead_letters:
        yield "No dead letters."
        return
    rows = [
        (letters.reason, letters.status, letters.count, duration(letters.oldest_age))
        for letters in overview.dead_letters
    ]
    yield table(("reason", "status", "entries", "oldest"), rows, "Dead letters")


def _subjects(overview: Overview) -> Iterator[Any]:
    subjects = overview.subjects
    if not subjects:
        yield "No schema yet."
        return
    rows = sorted(subjects.items())[:_MOST_SUBJECTS]
    yield table(("subject", "version"), rows, f"Schemas ({len(subjects)})")
    if len(subjects) > len(rows):
        yield f"… and {len(subjects) - len(rows)} more: `cxone-consumer schema list`"


def _spool(spool: Mapping[str, Any] | None) -> str | None:
    if spool is None:
        return None
    text = f"{spool.get('depth', 0)} waiting"
    if spool.get("oldest"):
        text += f", oldest {shown(spool['oldest'])}"
    if spool.get("fault"):
        text += f"; {spool['fault']}"
    return text


def _told(job: JobState) -> str | None:
    """Its error, else its result, else its progress."""
    if job.error:
        return job.error
    facts = job.progress if job.result is None else job.result
    return ", ".join(f"{name} {shown(value)}" for name, value in facts.items()) or None
