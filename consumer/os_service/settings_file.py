"""Fit a settings file for a service: secrets into files of their own, paths absolute."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import Binding

from config.layers import bindings
from config.loading import find, names_of
from config.settings import Row, rows
from consumer.core.errors import SetupError

# What python-dotenv and systemd's EnvironmentFile= read alike without quotes.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,?&!\[\]{}*~^<>|-]*")
_DATA_DIR = "CXONE_DATA_DIR"
_CONFIG = "CXONE_CONFIG"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A settings file as the service gets it.

    `credentials`: the file of each secret by setting; `secrets`: the contents of those files that
    are to be written, because they stood in the settings file; `config`: the TOML file it names.
    """

    text: str
    credentials: Mapping[str, Path]
    secrets: Mapping[Path, str]
    config: Path | None
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    """A file half-way through. `folder` is for secrets, `data_dir` for the service; `given_config`
    goes before the one that the file names."""

    source: Path
    folder: Path | None
    data_dir: Path
    given_config: Path | None
    credentials: dict[str, Path] = field(default_factory=dict)
    secrets: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    config: Path | None = None
    has_data_dir: bool = False

    def line(self, name: str, value: str, row: Row | None, is_file: bool) -> str:
        """The line that the assignment becomes."""
        if row is not None and row.secret:
            return self._secret(name, value, row, is_file)
        if row is not None and row.name == _DATA_DIR:
            value = self._data_dir(value)
        elif row is not None and row.name == _CONFIG:
            self.config = self.given_config or self._resolved(value)
            value = str(self.config)
        return f"{name}={quoted(value)}\n"

    def rest(self) -> Iterator[str]:
        """Lines that the file must have and had not."""
        if self.config is None and self.given_config is not None:
            self.config = self.given_config
            yield f"{_CONFIG}={quoted(str(self.config))}\n"
        if not self.has_data_dir:
            yield f"{_DATA_DIR}={quoted(str(self.data_dir))}\n"

    def _secret(self, name: str, value: str, row: Row, is_file: bool) -> str:
        if is_file:
            path = self._resolved(value)
        elif self.folder is None:
            return f"{name}={quoted(value)}\n"
        else:
            path = self.folder / row.name
            self.secrets[path] = value
            self.notes.append(f"{name} is moved to {path}")
        self.credentials[row.name] = path
        return f"{row.name}_FILE={quoted(str(path))}\n"

    def _data_dir(self, value: str) -> str:
        self.has_data_dir = True
        if self._resolved(value) != self.data_dir:
            self.notes.append(
                f"{_DATA_DIR} was {value}: the service keeps its files in {self.data_dir};"
                " what waits in the old one stays there"
            )
        return str(self.data_dir)

    def _resolved(self, value: str) -> Path:
        return (self.source.parent / Path(value).expanduser()).absolute()


def fit(
    text: str,
    source: Path,
    credentials: Path | None,
    data_dir: Path,
    config: Path | None = None,
) -> Fitted:
    """`text` is that of a `.env` file; relative paths in it start at the directory of `source`.
    Secrets go to the folder `credentials`; None leaves them where they are. `config` is named
    instead of what the text names.

    Fitting what came of it again changes nothing. Raises SetupError for a line no one can read.
    """
    draft = _Draft(source, credentials, data_dir, config and config.absolute())
    lines: list[str] = []
    known = names_of(rows())
    for binding, number in bindings(text.removeprefix("\ufeff")):
        if binding.error:
            raise SetupError(f"{source} line {number} cannot be read: write NAME=value")
        lines.extend(_lines(binding, known, draft))
    lines.extend(draft.rest())
    return Fitted(
        "".join(lines),
        dict(sorted(draft.credentials.items())),
        draft.secrets,
        draft.config,
        tuple(draft.notes),
    )


def _lines(binding: Binding, known: Mapping[str, Row], draft: _Draft) -> Iterator[str]:
    original = binding.original.string
    if binding.key is None or not binding.value:
        yield original if original.endswith("\n") else f"{original}\n"
        return
    # Blank lines before it belong to what the parser took.
    yield original[: len(original) - len(original.lstrip())]
    row, is_file = find(binding.key, known)
    yield draft.line(binding.key, binding.value, row, is_file)


def quoted(value: str) -> str:
    """Text that python-dotenv and systemd both take for `value`."""
    if _PLAIN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
