"""The command `cxone-consumer`: its commands in one table, each imported when it is called."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from consumer.cli.context import SettingsFiles

# Where each command is and what the list of commands says of it: to list them imports none.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": (
        "consumer.cli.init:init",
        "Write a settings file with a generated secret and print what to enter at CXone, or, with"
        " --preset, at another sender.",
    ),
    "serve": (
        "consumer.cli.serve:serve",
        "Take webhooks until SIGTERM or Ctrl-C; everything accepted is answered first.",
    ),
    "demo": (
        "consumer.cli.demo:demo",
        "Start MongoDB and the service, send realistic events, and show what became of them.",
    ),
    "send": (
        "consumer.cli.send:send",
        "Post FILEs byte for byte, signed with CXONE_SHARED_SECRET, and count the answers.",
    ),
    "sign": (
        "consumer.cli.sign:sign",
        "Print the signature headers for the exact bytes of FILE.",
    ),
    "doctor": (
        "consumer.cli.doctor:doctor",
        "Check settings, MongoDB, this machine, Datadog and, with --url, the way from outside.",
    ),
    "status": (
        "consumer.cli.status:status",
        "Show processes, jobs, MongoDB, dead letters, spools, Datadog and schemas.",
    ),
    "adoption": (
        "consumer.cli.adoption:app",
        "See how far each schema version has spread.",
    ),
    "datadog": (
        "consumer.cli.datadog:app",
        "Get the dashboard and monitors for Datadog.",
    ),
    "dlq": (
        "consumer.cli.dlq.commands:app",
        "Look at dead letters and try them again.",
    ),
    "events": (
        "consumer.cli.events:app",
        "Erase what is kept of a person.",
    ),
    "schema": (
        "consumer.cli.schema.commands:app",
        "Look at schemas and decide what becomes part of them.",
    ),
    "secret": (
        "consumer.cli.secret:app",
        "Change the secret that CXone signs with.",
    ),
    "service": (
        "consumer.cli.service.commands:app",
        "Install and run as a service of this machine.",
    ),
    "spool": (
        "consumer.cli.spool:app",
        "Look at what waits on this machine for MongoDB.",
    ),
}
# These end before any command is imported, which could log.
_WITHOUT_LOG = (["--version"], ["--help"])

# Some releases of typer build on click and some ship their own: this is the class of either.
_UsageError: Any = typer.BadParameter.__mro__[1]


class _Commands(TyperGroup):
    """Know each command by its row in the table, and import the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, command(name) if name else None, rest


def command(name: str) -> Any:
    """The command of that name, imported."""
    place, text = COMMANDS[name]
    part = resolve_name(place)
    alone = _group(TyperGroup)
    if isinstance(part, typer.Typer):
        alone.add_typer(part, name=name, help=text)
    else:
        alone.command(name)(part)
    return get_group(alone).commands[name]


def build() -> typer.Typer:
    """The command line, assembled from the table."""
    app = _group(_Commands)
    for name, (_, text) in COMMANDS.items():
        app.command(name, help=text)(_not_imported)
    return app


def _group(kind: type[TyperGroup]) -> typer.Typer:
    group = typer.Typer(
        cls=kind,
        rich_markup_mode="markdown",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Keep every NICE CXone webhook in MongoDB and watch its schema evolve.",
    )
    group.callback()(common)
    return group


def _not_imported() -> None:
    """Stand for a command in the list of commands."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("cxone-consumer"))
        raise typer.Exit


def common(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with settings.", metavar="FILE")
    ] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="Read this file instead of ./.env.", metavar="FILE")
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    ctx.obj = SettingsFiles(config, env_file)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What cp1252 lacks is written out, as in \u0141, instead of ending the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    if (sys.argv[1:] if arguments is None else arguments) not in _WITHOUT_LOG:
        from config import logs  # noqa: PLC0415  (a tenth of a second)

        # Standard output is for what was asked for; `serve` logs as its settings say.
        logs.configure("warning", "console", sys.stderr)
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """The exit status of a command; errors are shown as text, never as a traceback."""
    try:
        result = build()(arguments, standalone_mode=False)
        # None where it was closed before we began (`>&-`).
        if sys.stdout is not None:
            sys.stdout.flush()
    except _UsageError as error:
        error.show()
        return int(error.exit_code)
    except BaseException as error:
        # It knows the errors of the settings and of MongoDB, which not every command imports.
        from consumer.cli.failures import exit_status  # noqa: PLC0415

        status = exit_status(error)
        if status is None:
            raise
        return status
    return result if isinstance(result, int) else 0
