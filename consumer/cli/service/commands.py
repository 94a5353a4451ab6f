"""`service`: run under the service manager of this machine, from its start on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from consumer.cli.console import console, print_json
from consumer.cli.context import AsJson, SettingsFiles
from consumer.core.errors import SetupError
from consumer.os_service.layout import NAME

if sys.platform == "win32":
    from consumer.cli.service import windows as manager
else:
    from consumer.cli.service import linux as manager


def service() -> None:
    """Install and run as a service of this machine."""
    if sys.platform not in ("win32", "linux"):
        raise SetupError(
            f"services are for Linux with systemd and for Windows, not for {sys.platform}:"
            " have your process manager run `cxone-consumer serve`"
        )


def install(
    ctx: typer.Context,
    *,
    user: Annotated[
        str | None,
        typer.Option(
            help="Run as this account; unless told, as one that is there for the service alone.",
            metavar="NAME",
        ),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(
            help="The settings file of the service, written where there is none; unless told,"
            f" {manager.SETTINGS}.",
            metavar="PATH",
        ),
    ] = None,
    embedded: Annotated[
        bool,
        typer.Option("--embedded", help="Run MongoDB as a child process of the service."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be written and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write, enable and start the service; again, bring it up to date.

    The first time its settings are those of ./.env, or of the file named by `--env-file` before
    the command; where there is neither, new ones with a new secret.
    """
    named = ctx.find_object(SettingsFiles) or SettingsFiles()
    manager.install(
        named, user=user, settings=env_file, embedded=embedded, dry_run=dry_run, as_json=as_json
    )


def uninstall(as_json: AsJson = False) -> None:
    """Stop and remove the service; its settings and data stay."""
    _tell(manager.uninstall(), as_json)


def start(as_json: AsJson = False) -> None:
    """Start the service and wait until it takes deliveries."""
    _tell(manager.start(), as_json)


def stop(as_json: AsJson = False) -> None:
    """Stop the service; everything accepted is answered first."""
    _tell(manager.stop(), as_json)


def restart(as_json: AsJson = False) -> None:
    """Stop the service and start it again, with its settings as they are now."""
    _tell(manager.restart(), as_json)


def status(
    as_json: AsJson = False,
) -> None:
    """Show whether the service runs; the exit status is 1 when it does not."""
    raise typer.Exit(manager.status(as_json))


def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last.", min=1)] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the service logged last."""
    if as_json and follow:
        raise typer.BadParameter("--follow has no end, as JSON must have: leave one of them out")
    raise typer.Exit(manager.logs(lines, follow, as_json=as_json))


def _tell(text: str, as_json: bool) -> None:
    if as_json:
        print_json({"service": NAME, "done": text})
    else:
        console().print(text, soft_wrap=True)
