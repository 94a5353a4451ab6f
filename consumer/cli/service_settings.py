"""Which settings a service is installed with."""

from __future__ import annotations

from pathlib import Path

from consumer.cli.context import Sources
from consumer.cli.settings_text import fresh_secret, settings_text
from consumer.service import files


def settings_to_install(sources: Sources, place: Path) -> tuple[Path | None, str]:
    """The settings file to start from and its text; `place` is where the service has its own.

    Where there is none, None and a new text with a new secret; so too for the text of a named file
    that is not there. Raises SetupError for one that cannot be read.
    """
    source = sources.env_file or next(
        (path for path in (place, Path(".env")) if path.is_file()), None
    )
    text = files.read(source) if source else None
    return source, text or settings_text(fresh_secret())
