"""`secret rotate`: a new shared secret, beside the old one until nobody signs with that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config.loading import Settings
from config.signing import secret_key
from consumer.cli.console import console, print_json
from consumer.cli.context import AsJson, SettingsFiles, load_settings, open_shared
from consumer.cli.settings_text import fresh_secret
from consumer.core.clock import utc_now
from consumer.core.errors import NoMongo, SetupError, StoreUnavailable
from consumer.ingest.signature import fingerprint
from consumer.os_service import secret_rotation
from consumer.os_service.secret_rotation import CURRENT, PREVIOUS, Rotation


def rotate(
    ctx: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help="Also while the previous secret still signs.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show/--no-show", help="Print the secret, to enter it at CXone.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Make a new shared secret; the one so far stays valid as the previous one.

    Changes the lines of the secrets in the settings file (--env-file, else .env), or the files
    that those name, and nothing else. Refused while the previous secret signs deliveries, for
    those would be refused.
    """
    named = ctx.find_object(SettingsFiles) or SettingsFiles()
    path = named.env_file or Path(".env")
    if not path.is_file():
        raise SetupError(f"there is no {path}: name the settings file with --env-file FILE")
    settings = load_settings(ctx, [CURRENT])
    found = secret_rotation.read(path)
    _check_in_force(found, settings)
    if found.previous is not None and not force:
        _check_silent(settings, found.previous)
    fresh = fresh_secret().current
    secret_rotation.rotate(found, fresh)
    if as_json:
        place = found.places.get(CURRENT, found.path)
        print_json({"file": found.path, "secret_in": place, "secret": fresh if show else None})
    else:
        _print_next_steps(found, fresh if show else None)


def _check_in_force(found: Rotation, settings: Settings) -> None:
    """Raises SetupError where another place than the file says what the secret is."""
    current = settings.cxone_shared_secret
    if current is None or found.current != current.get_secret_value():
        raise SetupError(
            f"{CURRENT} in force is not that of {found.path}: the environment, a credential or the"
            " --config file says another; change it there"
        )


def _check_silent(settings: Settings, previous: str) -> None:
    """Raises SetupError while the previous secret may still sign, StoreUnavailable or NoMongo where
    that cannot be told."""
    from consumer.doctor.secrets import is_silent, judge_previous
    from consumer.mongodb.client import SECRET_USE
    from consumer.monitoring.secret_use import SecretUse

    current = settings.cxone_shared_secret
    try:
        with open_shared(settings) as shared:
            uses = SecretUse(shared.database[SECRET_USE])
            use = uses.of(_fingerprint(previous, settings))
            now_used = (
                uses.of(_fingerprint(current.get_secret_value(), settings)) if current else None
            )
    except (StoreUnavailable, NoMongo) as error:
        raise type(error)(
            f"whether {PREVIOUS} still signs cannot be told ({error}); --force rotates all the same"
        ) from error
    if not is_silent(use, now_used, utc_now()):
        check = judge_previous(use, now_used, utc_now())
        advice = f"; {check.advice}" if check.advice else ""
        raise SetupError(
            f"{check.finding}{advice}. What it signs would be refused: --force rotates all the same"
        )


def _fingerprint(text: str, settings: Settings) -> str:
    return fingerprint(secret_key(text, settings.cxone_secret_format))


def _print_next_steps(found: Rotation, fresh: str | None) -> None:
    out = console()
    out.print(
        f"New secret in {found.places.get(CURRENT, found.path)}; the one so far is still valid."
    )
    out.print(f"\nNext:\n\n  1. Restart the service, that it takes both. {_restart(found.path)}")
    out.print("  2. Enter the new secret at CXone, without a line end:")
    out.print(f"     {fresh or f'(see {CURRENT} in {found.places.get(CURRENT, found.path)})'}")
    out.print(
        f"  3. `cxone-consumer doctor` says when the old one signs nothing any more. Then remove\n"
        f"     {PREVIOUS} and restart.",
        soft_wrap=True,
    )


def _restart(path: Path) -> str:
    if path.parent.name != "cxone-consumer":
        return ""
    return "One installed by\n     `service install`: run that again, then `service restart`."
