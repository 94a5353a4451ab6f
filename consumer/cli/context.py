"""Give a command its settings, and the parts of the service that it works with.

Both are imported when they are asked for: `--help` needs neither, and `sign` only the settings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from config.loading import Settings
    from consumer.runtime.shared import SharedParts


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@dataclass(frozen=True, slots=True)
class SettingsFiles:
    """The files with settings that the options before the command name."""

    config_file: Path | None = None
    env_file: Path | None = None


def load_settings(
    ctx: typer.Context, required: Collection[str] = (), **overrides: str | None
) -> Settings:
    """The settings under the command line's `overrides` (lower-case names; None: not given).

    Raises config.faults.SettingsError, which `main` shows and turns into exit status 2.
    """
    from config import loading

    named: SettingsFiles = ctx.find_object(SettingsFiles) or SettingsFiles()
    given = {name.upper(): value for name, value in overrides.items() if value is not None}
    return loading.from_process(given, named.env_file, named.config_file, required)


@contextmanager
def open_shared(settings: Settings) -> Iterator[SharedParts]:
    """The parts of the service on MongoDB, as `runtime.shared` opens them."""
    from consumer.runtime import shared

    with shared.open_shared(settings) as parts:
        yield parts
