"""The command `cxone-consumer`: its commands in one table, and how each error ends it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from pymongo.errors import PyMongoError

from config import logs
from config.loading import SettingsError
from consumer.cli import adoption, datadog, events, secret, spool
from consumer.cli.console import error_console
from consumer.cli.context import Sources
from consumer.cli.demo import demo
from consumer.cli.dlq import commands as dlq
from consumer.cli.doctor import doctor
from consumer.cli.init import init
from consumer.cli.schema import commands as schema
from consumer.cli.send import send
from consumer.cli.serve import serve
from consumer.cli.service import commands as service
from consumer.cli.sign import sign
from consumer.cli.status import status
from consumer.core.errors import ConsumerError, FormatTooNew, NoMongo, StoreUnavailable
from consumer.core.text import safe
from consumer.mongodb.errors import unavailable

COMMANDS = (
    ("init", init),
    ("serve", serve),
    ("demo", demo),
    ("send", send),
    ("sign", sign),
    ("doctor", doctor),
    ("status", status),
)
GROUPS = (
    ("adoption", adoption.app, "See how far each schema version has spread."),
    ("datadog", datadog.app, "Get the dashboard and monitors for Datadog."),
    ("dlq", dlq.app, "Look at dead letters and try them again."),
    ("events", events.app, "Erase what is kept of a person."),
    ("schema", schema.app, "Look at schemas and decide what becomes part of them."),
    ("secret", secret.app, "Change the secret that CXone signs with."),
    ("service", service.app, "Install and run as a service of this machine."),
    ("spool", spool.app, "Look at what waits on this machine for MongoDB."),
)

# Some releases of typer build on click and some ship their own: this is the class of either.
_UsageError: Any = typer.BadParameter.__mro__[1]

# The statuses are part of the contract; the most special error first.
_STATUS: dict[type[BaseException], int] = {
    SettingsError: 2,
    NoMongo: 2,
    FormatTooNew: 2,
    StoreUnavailable: 3,
    ConsumerError: 1,
    KeyboardInterrupt: 130,
    typer.Abort: 130,
    # The reader of our output left (`| head`): nothing to say, and nowhere to say it.
    BrokenPipeError: 1,
}


def build() -> typer.Typer:
    """The command line, assembled from the tables."""
    app = typer.Typer(
        rich_markup_mode="markdown",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Keep every NICE CXone webhook in MongoDB and watch its schema evolve.",
    )
    app.callback()(common)
    for name, command in COMMANDS:
        app.command(name)(command)
    for name, group, text in GROUPS:
        app.add_typer(group, name=name, help=text)
    return app


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
    ctx.obj = Sources(config, env_file)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    # Standard output is for what was asked for; `serve` logs as its settings say.
    logs.configure("warning", "console", sys.stderr)
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """The exit status of a command; errors are shown as text, never as a traceback."""
    try:
        result = _called(arguments)
    except _UsageError as error:
        error.show()
        return int(error.exit_code)
    except tuple(_STATUS) as error:
        if str(error):
            # A subject that it names may come from outside.
            error_console().print(safe(f"cxone-consumer: {error}"), soft_wrap=True)
        return next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    return result if isinstance(result, int) else 0


def _called(arguments: list[str] | None) -> Any:
    """Run the command and return its result; no error of the driver leaves it as such."""
    try:
        return build()(arguments, standalone_mode=False)
    except PyMongoError as error:
        raise unavailable(error) from error
