"""Load the settings for a command, once, and end with the right status when they are wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import typer

from config import settings as configuration
from config.settings import Settings
from consumer.cli.console import error_console
from consumer.printable import safe
from consumer.redaction import Redaction
from consumer.runtime import Core
from consumer.runtime.fleet import differences, masks_of_all
from consumer.storage import mongo
from consumer.storage.instances import Instances


@dataclass(frozen=True, slots=True)
class Sources:
    """What the options before the command say of where settings come from."""

    config_file: Path | None = None
    env_file: Path | None = None


def load_settings(
    ctx: typer.Context, required: Collection[str] = (), **overrides: str | None
) -> Settings:
    """The settings under the command line's `overrides` (lower-case names; None: not given).

    Raises config.settings.SettingsError, which `main` shows and turns into exit status 2.
    """
    sources: Sources = ctx.find_object(Sources) or Sources()
    given = {name.upper(): value for name, value in overrides.items() if value is not None}
    return configuration.from_process(given, sources.env_file, sources.config_file, required)


def masks_beside(settings: Settings, core: Core) -> Redaction:
    """Find what to hide: all that these settings or any process of the service hide. Says on
    standard error where a running one is set up otherwise. Raises StoreUnavailable."""
    processes = Instances(core.database[mongo.INSTANCES]).all()
    for difference in differences(settings, processes):
        error_console().print(f"Note: {safe(difference)}", soft_wrap=True)
    return masks_of_all(settings, processes)
