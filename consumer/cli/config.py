"""`config`: the settings that hold and where they come from, and the schema of their file."""

from __future__ import annotations

from typing import Annotated

import typer

from consumer.cli.console import print_json, print_lines
from consumer.cli.context import AsJson, load_settings


def show_settings(
    ctx: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Those too that are as they are built in.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which settings hold and where each comes from; secrets are masked."""
    settings = load_settings(ctx)
    from config.loading import rows

    masked = settings.masked()
    found = [
        {
            "name": row.name,
            "value": masked[row.name],
            "from": settings.origins.get(row.field, "built in"),
            "default": row.default,
        }
        for row in rows()
        if everything or row.field in settings.origins
    ]
    tables = [f"sources.{name}" for name in settings.sources]
    tables += [f"subjects.{name}" for name in settings.subjects]
    if as_json:
        print_json({"settings": found, "tables": tables})
        return
    print_lines(
        ("setting", "from", "value"),
        [(each["name"], each["from"], each["value"]) for each in found]
        + [(name, settings.origins.get("cxone_config", "the TOML file"), "") for name in tables],
    )


def print_schema(as_json: AsJson = False) -> None:
    """Print the JSON Schema of the TOML file, by which editors complete and check it."""
    from config.toml_schema import toml_schema

    schema = toml_schema()
    print_json({"schema": schema} if as_json else schema)
