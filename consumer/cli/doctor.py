"""`doctor`: examine everything the service depends on and say what to do about each fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.loading import Settings, SettingsError
from consumer.cli.console import console, print_json, table
from consumer.cli.context import AsJson, load_settings
from consumer.cli.init import webhook_url
from consumer.core.clock import utc_now
from consumer.core.errors import ConsumerError, SetupError

if TYPE_CHECKING:
    from pymongo import MongoClient

    from consumer.doctor.check import Check

_WORDS = {"ok": "ok", "warn": "warning", "fail": "FAULT", "skip": "skipped"}


def doctor(
    ctx: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            help="Also send a signed canary to this public address, through your proxy.",
            metavar="URL",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, MongoDB, this machine, Datadog and, with --url, the way from outside."""
    from consumer.doctor.check import exit_status

    address = webhook_url(url) if url else None
    try:
        settings = load_settings(ctx)
    except SettingsError as error:
        checks = settings_faults(error)
    else:
        checks = [understood(settings), *examine(settings, address)]
    show(checks, as_json)
    raise typer.Exit(exit_status(checks))


def settings_faults(error: SettingsError) -> list[Check]:
    """One fault a line; all that depends on settings is skipped, which is everything."""
    from consumer.doctor.check import SETTINGS, Check
    from consumer.doctor.table import ROWS

    faults = [
        Check(
            SETTINGS,
            "fail",
            f"{fault.name} ({fault.source}): {fault.problem}",
            f"allowed: {fault.allowed}" if fault.allowed else "",
        )
        for fault in error.faults
    ]
    return [*faults, *(Check(row.name, "skip", "needs valid settings") for row in ROWS)]


def understood(settings: Settings) -> Check:
    """Judge whether the parts take these settings; paths are read by the schema alone."""
    from consumer.doctor.check import SETTINGS, Check
    from consumer.runtime.settings_map import schema_policy

    try:
        schema_policy(settings)
    except SetupError as error:
        return Check(SETTINGS, "fail", str(error), "correct it in the config file")
    return Check(SETTINGS, "ok", "valid")


def examine(settings: Settings, url: str | None) -> Iterator[Check]:
    """All other checks, on a client that is closed at the end."""
    from consumer.doctor import mongodb
    from consumer.doctor.check import MONGODB, Check, Target, run
    from consumer.doctor.table import ROWS
    from consumer.mongodb.client import connect
    from consumer.mongodb.embedded.port import running_uri

    own = settings.mongodb_uri
    client: MongoClient[dict[str, Any]] | None = None
    mute = False
    try:
        uri = own.get_secret_value() if own else running_uri(settings.cxone_data_dir)
    except ConsumerError as error:
        uri, mute = None, True
        yield Check(MONGODB, "fail", str(error))
    if uri is not None:
        client = connect(
            uri, timeout=settings.cxone_store_timeout, server_api=settings.mongodb_server_api
        )
    with closing(client) if client is not None else nullcontext():
        target = Target(
            settings=settings,
            client=client,
            clock=utc_now,
            url=url,
        )
        # What runs and does not answer need not be started.
        examined = {MONGODB, mongodb.EMBEDDED} if mute else {MONGODB}
        rows = [row for row in ROWS if client is not None or row.name not in examined]
        yield from run(rows, target)


def show(checks: Sequence[Check], as_json: bool) -> None:
    """Print the checks: a table for people, or one JSON document."""
    from consumer.doctor.check import exit_status

    if as_json:
        print_json({"status": exit_status(checks), "checks": list(checks)})
        return
    rows = [(check.name, _WORDS[check.status], _finding(check)) for check in checks]
    out = console()
    out.print(table(("check", "status", "finding"), rows))
    faults = sum(check.status == "fail" for check in checks)
    warnings = sum(check.status == "warn" for check in checks)
    out.print(f"{faults} fault{_s(faults)}, {warnings} warning{_s(warnings)}.")


def _finding(check: Check) -> str:
    return f"{check.finding}\n-> {check.advice}" if check.advice else check.finding


def _s(count: int) -> str:
    return "" if count == 1 else "s"
