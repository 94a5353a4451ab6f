"""Write a new shared secret where the settings file holds it; all else stays as it is."""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from config.layers import read_secret
from config.loading import find, names_of
from config.settings import rows
from consumer.core.errors import SetupError
from consumer.os_service.files import File, replace
from consumer.os_service.settings_file import quoted

CURRENT, PREVIOUS = "CXONE_SHARED_SECRET", "CXONE_SHARED_SECRET_PREVIOUS"

_BEGINNING = re.compile(r"\s*(?:export\s+)?")


@dataclass(slots=True)
class Rotation:
    """A settings file and its secrets: `current` and `previous` by this file alone, and `places`,
    by name of the setting, the files of their own in which they stand."""

    path: Path
    text: str
    bindings: list[Binding]
    current: str | None = None
    previous: str | None = None
    places: dict[str, Path] = field(default_factory=dict)


def read(path: Path) -> Rotation:
    """The secrets of a settings file; a later line goes before an earlier one, as for all readers.
    Raises SetupError for what cannot be read."""
    # A link stays one: what it leads to is written.
    path = path.resolve()
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SetupError(f"cannot read {path}: {reason}") from error
    found = Rotation(path, text, list(parse_stream(io.StringIO(text.removeprefix("\ufeff")))))
    for name, is_file, value in _secrets(found.bindings):
        found.places.pop(name, None)
        secret = value
        if is_file:
            found.places[name] = Path(value).expanduser().absolute()
            secret = _read_place(found.places[name])
        if name == CURRENT:
            found.current = secret
        else:
            found.previous = secret
    return found


def rotate(found: Rotation, fresh: str) -> None:
    """Make `fresh` the current secret and the current one the previous; what was the previous is
    gone. Each file is written whole or not at all, the settings before the current secret.

    Raises SetupError.
    """
    files = []
    text = _rewritten(found, fresh)
    _check(found, text, fresh)
    place = found.places.get(CURRENT)
    if found.current is not None and place is not None:
        before = found.places.get(PREVIOUS, place.with_name(PREVIOUS))
        files.append(File(before, found.current, _mode(before), secret=True))
    files.append(File(found.path, text, _mode(found.path)))
    if place is not None:
        files.append(File(place, fresh, _mode(place), secret=True))
    for file in files:
        try:
            replace(file)
        except OSError as error:
            raise SetupError(f"cannot write {file.path}: {error.strerror or error}") from error


def _secrets(bindings: list[Binding]) -> Iterator[tuple[str, bool, str]]:
    """Each line of the two secrets that says something: name, whether of a file, value."""
    for binding in bindings:
        name, is_file = _of(binding)
        if name is not None and binding.value:
            yield name, is_file, binding.value


def _of(binding: Binding) -> tuple[str | None, bool]:
    if binding.error or binding.key is None:
        return None, False
    row, is_file = find(binding.key, names_of(rows()))
    return (row.name if row is not None and row.name in (CURRENT, PREVIOUS) else None), is_file


def _read_place(path: Path) -> str:
    try:
        return read_secret(path)
    except (ValueError, OSError) as error:
        raise SetupError(f"cannot read the secret in {path}: {error}") from error


def _rewritten(found: Rotation, fresh: str) -> str:
    """The text with other lines for the secrets that stand in it, and one for the previous secret
    behind the current one where it has none."""
    values = {CURRENT: fresh, PREVIOUS: found.current}
    lines = []
    new_line = "\r\n" if "\r\n" in found.text else "\n"
    last, has_previous = None, False
    for binding in found.bindings:
        original = binding.original.string
        name, is_file = _of(binding)
        value = values.get(name) if name is not None else None
        if value is None or (is_file and binding.value):
            lines.append(original)
        else:
            beginning = _BEGINNING.match(original)
            key = binding.key if not is_file else name
            lines.append(f"{beginning[0] if beginning else ''}{key}={quoted(value)}{new_line}")
        last = len(lines) if name == CURRENT else last
        has_previous = has_previous or name == PREVIOUS
    if last is None:
        lines.append(f"{_end(lines, new_line)}{CURRENT}={quoted(fresh)}{new_line}")
    elif not has_previous and found.current is not None:
        # Whoever sources the file in a shell exports both or neither.
        export = "export " if lines[last - 1].split()[0] == "export" else ""
        lines[last - 1] += _end(lines[:last], new_line) + export + _previous_line(found) + new_line
    return ("\ufeff" if found.text.startswith("\ufeff") else "") + "".join(lines)


def _previous_line(found: Rotation) -> str:
    place = found.places.get(CURRENT)
    if place is not None:
        return f"{PREVIOUS}_FILE={quoted(str(place.with_name(PREVIOUS)))}"
    return f"{PREVIOUS}={quoted(found.current or '')}"


def _end(lines: list[str], new_line: str) -> str:
    """Ending for the line before, where the file has none."""
    return new_line if lines and not lines[-1].endswith("\n") else ""


def _check(found: Rotation, text: str, fresh: str) -> None:
    """Raises SetupError where a reader would not find in the text what is meant."""
    written = dotenv_values(stream=io.StringIO(text.removeprefix("\ufeff")), interpolate=False)
    read_back = {_canonical(name): value for name, value in written.items()}
    wanted = {CURRENT: fresh, PREVIOUS: found.current}
    for name, value in wanted.items():
        if value is None or name in found.places or f"{name}_FILE" in read_back:
            continue
        if read_back.get(name) != value:
            raise SetupError(f"{name} in {found.path} cannot be written as it is: edit it by hand")


def _canonical(name: str) -> str:
    row, is_file = find(name, names_of(rows()))
    return name if row is None else f"{row.name}{'_FILE' if is_file else ''}"


def _mode(path: Path) -> int:
    """The rights it has, or those of a new file."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o600
