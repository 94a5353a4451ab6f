"""`status`: how the service is doing, in all its processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from consumer.cli import status_here
from consumer.cli.console import console, print_json
from consumer.cli.context import load_settings
from consumer.cli.status_view import Section, screen, sections
from consumer.clock import utc_now
from consumer.errors import StoreUnavailable
from consumer.options import mongodb_uri
from consumer.overview import Overview, gather
from consumer.runtime import open_core
from consumer.storage.translate import translated

# Columns and lines where there is no terminal to ask.
_PAPER = (100, 40)


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
    try:
        with translated(settings.mongodb_database), open_core(settings) as core:
            overview = gather(core.client, core.database, core.registry, core.dead_letters.depths)
            contradictions = core.registry.contradictions()
    except StoreUnavailable as error:
        found = status_here.here(settings)
        if as_json:
            print_json({"at": utc_now(), "mongodb": None, "error": str(error), "here": found})
        else:
            _show(status_here.sections_here(found))
        raise
    if as_json:
        told = [{"finding": each.finding, "remedy": each.remedy} for each in contradictions]
        print_json({**as_plain(overview), "contradictions": told})
        return
    remedies = [f"{each.finding}: `{each.remedy}`" for each in contradictions]
    _show([*sections(overview, remedies)])


def _show(parts: Iterable[Section]) -> None:
    out = console()
    width, height = out.size if out.is_terminal else _PAPER
    # A line is left for the prompt.
    for line in screen(list(parts), width, height - 1):
        out.print(line, soft_wrap=True)


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
