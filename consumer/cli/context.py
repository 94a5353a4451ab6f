"""Load the settings for a command, once, and end with the right status when they are wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import typer

from config import settings as configuration
from config.settings import Settings


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
