"""List the dashboard and monitors that are shipped with the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import config


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as Datadog imports it; `kind` is dashboard or monitor."""

    name: str
    text: str

    @property
    def kind(self) -> str:
        return self.name.partition("_")[0].removesuffix(".json")


def folder() -> Path:
    """The folder in which they are installed."""
    return Path(str(files(config))) / "datadog"


def assets() -> Iterator[Asset]:
    """All of them, by name."""
    for path in sorted(folder().glob("*.json")):
        yield Asset(path.name, path.read_text(encoding="utf-8"))
