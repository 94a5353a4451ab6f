"""The command `cxone-consumer`: each command is imported when it is called."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from consumer.cli.context import SettingsFiles
from consumer.cli.table import ALONE, COMMANDS, FORMER, UNLISTED

_PACKAGE = "consumer.cli"

# These end before anything could log.
_WITHOUT_LOG = frozenset({"--version", "--help", "-h"})

# Some releases of typer build on click and some ship their own: this is the class of either.
_UsageError: Any = typer.BadParameter.__mro__[1]


class _Commands(TyperGroup):
    """Know each command by its row in the table, and import the one that is called."""

    path: tuple[str, ...] = ()

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        if not name:
            return None, None, rest
        path = " ".join((*self.path, name))
        return name, command(path), _as_now(rest, FORMER.get(path, {}))


def _as_now(arguments: Sequence[str], former: Mapping[str, str]) -> list[str]:
    """Arguments with options as they are called now."""
    parts = (each.partition("=") for each in arguments)
    return [former.get(name, name) + equals + value for name, equals, value in parts]


def command(path: str) -> Any:
    """The command of that row, imported; those of a group are not."""
    place, text = COMMANDS[path]
    function: Any = resolve_name(f"{_PACKAGE}.{place}") if place else None
    alone, name = _group(TyperGroup), path.rpartition(" ")[2]
    if not (below := _below(path)):
        alone.command(name)(function)
        return get_group(alone).commands[name]
    group = typer.Typer(
        cls=_Commands, invoke_without_command=path in ALONE, no_args_is_help=path not in ALONE
    )
    if function is not None:
        group.callback()(function)
    _add(group, below)
    alone.add_typer(group, name=name, help=text)
    made: Any = get_group(alone).commands[name]
    made.path = tuple(path.split())
    return made


def build() -> typer.Typer:
    """The command line, assembled from the table."""
    app = _group(_Commands)
    _add(app, [path for path in COMMANDS if " " not in path])
    return app


def _below(path: str) -> list[str]:
    return [each for each in COMMANDS if each.startswith(f"{path} ")]


def _add(group: typer.Typer, paths: Iterable[str]) -> None:
    for path in paths:
        name, text, hidden = path.rpartition(" ")[2], COMMANDS[path][1], path in UNLISTED
        group.command(name, help=text, hidden=hidden)(_not_imported)


def _group(kind: type[TyperGroup]) -> typer.Typer:
    group = typer.Typer(
        cls=kind,
        rich_markup_mode="markdown",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        help="Keep every NICE CXone webhook in MongoDB and watch its schema evolve.",
    )
    group.callback()(common)
    return group


def _not_imported() -> None:
    """Stand for a command in the list of commands."""


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

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
    given = sys.argv[1:] if arguments is None else arguments
    if _WITHOUT_LOG.isdisjoint(given[-1:]):
        from config import logs

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
        from consumer.cli.failures import exit_status

        status = exit_status(error)
        if status is None:
            raise
        return status
    return result if isinstance(result, int) else 0
