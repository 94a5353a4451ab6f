"""Read the places settings and secrets come from, each as entries that know where they stand."""

from __future__ import annotations

import io
import re
import sys
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from dotenv.parser import Binding, parse_stream

from config.faults import Fault, in_quotes

_MAX_FILE_BYTES = 1 << 20
_MAX_SECRET_BYTES = 64 * 1024
# Names at the top of a TOML file that are no settings.
TABLES = ("subjects", "sources")
_POSITION = re.compile(r"\((at [a-z0-9, ]+)\)\Z")
_LINE_END = re.compile(r"\r\n|\n|\r")
# What stands in quotes; in the group the beginning of a share, \\server\share: the quotes make one
# backslash of the first two.
_QUOTED = re.compile(r"""[^=]*=\s*["'](\\\\[^"'\\]+\\(?![\\"']))?""")
# What `tomllib` says of backslashes in "…" that begin no escape.
_NO_ESCAPE = ("Unescaped '\\'", "Invalid hex value")


@dataclass(frozen=True, slots=True)
class Entry:
    """A name and value as written, and where, in words. TOML values keep their type; None is a
    name alone on a line of a `.env` file. `escaped`: where it is a path, escapes in quotes
    made another one of what was meant."""

    name: str
    value: object
    source: str
    escaped: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """The entries of one place, and the faults of their writing."""

    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def from_mapping(values: Mapping[str, str], source: str) -> Layer:
    return Layer([Entry(name, value, source) for name, value in values.items()])


def from_dotenv(path: Path | None) -> Layer:
    """A `.env` file: NAME=value, quotes and `export` allowed, `$` and `${}` kept as they are."""
    text, layer = _text(path, ".env")
    for binding, line in bindings(text):
        written = binding.original.string
        source = f"{path} line {line}"
        quoted = _QUOTED.match(written)
        if binding.error and quoted and "\\" in written:
            layer.faults.append(in_quotes(".env", source, "cannot be read: "))
        elif binding.error:
            layer.faults.append(Fault(".env", source, "cannot be read", 'NAME=value or NAME="…"'))
        elif binding.key is not None:
            escaped = quoted is not None and bool(quoted[1] or has_control(binding.value))
            layer.entries.append(Entry(binding.key, binding.value, source, escaped))
    return layer


def bindings(text: str) -> Iterator[tuple[Binding, int]]:
    """The lines of a `.env` file as python-dotenv reads them, each with its number: its own are one
    too high for what follows blank lines, and what it could not read before CRLF."""
    ends = [end.end() for end in _LINE_END.finditer(text)]
    position = 0
    for binding in parse_stream(io.StringIO(text)):
        written = binding.original.string
        yield binding, bisect(ends, position + len(written) - len(written.lstrip())) + 1
        position += len(written)


def from_toml(path: Path | None) -> tuple[Layer, dict[str, object]]:
    """A TOML file: settings at the top; beside them the values of TABLES, as they are."""
    text, layer = _text(path, "config file")
    source = f"{path}"
    try:
        document = _parse_toml(text)
    except (ValueError, RecursionError) as error:
        # Only the position: the text of the error may quote a value.
        position = _POSITION.search(str(error))
        what = f"not valid TOML {position[1]}" if position else "not valid TOML"
        if str(error).startswith(_NO_ESCAPE):
            layer.faults.append(in_quotes("config file", source, f"{what}: "))
        else:
            layer.faults.append(Fault("config file", source, what))
        return layer, {}
    tables = {name: document.pop(name) for name in TABLES if name in document}
    layer.entries.extend(
        Entry(name, value, source, has_control(value)) for name, value in document.items()
    )
    return layer, tables


def has_control(value: object) -> bool:
    """True for text with control characters: escapes in quotes made them of what was a path."""
    return isinstance(value, str) and any(character < " " for character in value)


def read_text(path: Path, limit: int) -> str:
    """A UTF-8 file of at most `limit` bytes, without a byte order mark, line ends as they are.

    Raises ValueError with the reason in words, FileNotFoundError when there is none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError("no such file") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text: save it as UTF-8") from None


def _text(path: Path | None, what: str) -> tuple[str, Layer]:
    if path is None:
        return "", Layer()
    try:
        return read_text(path, _MAX_FILE_BYTES), Layer()
    except (ValueError, FileNotFoundError) as error:
        return "", Layer(faults=[Fault(what, str(path), str(error))])


def _parse_toml(text: str) -> dict[str, Any]:
    # By name, because 3.10 has only the package of the same interface.
    module = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    document: dict[str, Any] = module.loads(text)
    return document


def read_secret(path: Path) -> str:
    """The secret in a file, without one trailing newline. Raises ValueError with the reason in
    words."""
    try:
        text = read_text(path, _MAX_SECRET_BYTES)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    for newline in ("\r\n", "\n"):
        if text.endswith(newline):
            text = text.removesuffix(newline)
            break
    if not text:
        raise ValueError("empty")
    return text


def resolved(entry: Entry, *, is_file: bool, is_path: bool = False) -> Entry | Fault | None:
    """An entry, with the content of the file that it names where it `is_file`; None where it is
    empty, which counts as not set. No fault holds a secret: a path may be one, by mistake."""
    if entry.value is None:
        return Fault(entry.name, entry.source, "no value", f"{entry.name}=value")
    if entry.value == "":
        return None
    if entry.escaped and (is_file or is_path):
        return in_quotes(entry.name, entry.source)
    value = entry.value
    if is_file:
        try:
            # NUL in it, or ~ of a user nobody knows.
            value = read_secret(Path(str(value)).expanduser())
        except (ValueError, RuntimeError) as error:
            problem = "not a path" if "\0" in str(value) else str(error)
            return Fault(entry.name, entry.source, f"the file it names: {problem}")
    # Bytes of the environment that are not UTF-8 come as halves of surrogate pairs.
    if isinstance(value, str) and any("\ud800" <= each <= "\udfff" for each in value):
        return Fault(entry.name, entry.source, "not UTF-8 text")
    return Entry(entry.name, value, entry.source)


def from_credentials(
    folder: str | None, names: Iterable[str], wanted: Callable[[str], bool]
) -> Layer:
    """The secrets systemd hands over (`LoadCredential=NAME:…`): a file each, named like the
    setting in capitals or lower case; those too whose names are `wanted`."""
    layer = Layer()
    if not folder:
        return layer
    try:
        others = {path.name.upper() for path in Path(folder).iterdir() if wanted(path.name)}
    except OSError:
        others = set()
    for name in [*names, *sorted(others)]:
        for path in _spellings(Path(folder), name):
            try:
                if path.exists():
                    layer.entries.append(Entry(path.name, read_secret(path), f"credential {path}"))
            except (ValueError, OSError) as error:
                problem = str(error) if isinstance(error, ValueError) else "cannot be read"
                layer.faults.append(Fault(name, f"credential {path}", problem))
    return layer


def _spellings(folder: Path, name: str) -> list[Path]:
    upper, lower = folder / name, folder / name.lower()
    try:
        one_file = upper.samefile(lower)  # so on a disk that ignores case
    except OSError:
        one_file = False
    return [upper] if one_file else [upper, lower]
