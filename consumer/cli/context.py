"""Load the settings for a command, once, and end with the right status when they are wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from config.loading import Settings


@dataclass(frozen=True, slots=True)
class Sources:
    """What the options before the command say of where settings come from."""

    config_file: Path | None = None
    env_file: Path | None = None


def load_settings(
    ctx: typer.Context, required: Collection[str] = (), **overrides: str | None
) -> Settings:
    """The settings under the command line's `overrides` (lower-case names; None: not given).

    Raises config.faults.SettingsError, which `main` shows and turns into exit status 2.
    """
    # `--version` and the list of commands know the sources and do without the table of settings.
    from config import loading  # noqa: PLC0415

    sources: Sources = ctx.find_object(Sources) or Sources()
    given = {name.upper(): value for name, value in overrides.items() if value is not None}
    return loading.from_process(given, sources.env_file, sources.config_file, required)
