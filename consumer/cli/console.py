"""Write the output of commands: tables for people, JSON for programs, on any stream."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any, TextIO

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from consumer.core.text import safe

# A pipe or a file has no width; rich would fold at 80 columns what grep should find on one line.
_REDIRECTED_WIDTH = 1000
_UNBOUNDED = 100_000
# Characters of a cell: a value from outside can be as long as a delivery, and tables have many.
_MAX_CELL = 1000
# Of a column that is not the last one of a line.
_MOST_COLUMN = 24


def console() -> Console:
    """Standard output: the result that the command was asked for."""
    return _console(sys.stdout)


def error_console() -> Console:
    """Standard error: progress, warnings and errors, so that piped output stays clean."""
    return _console(sys.stderr)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> Group:
    """A table of plain values: None is a dash, datetimes are UTC, columns of numbers are aligned
    right, and there is no header where no column has a name. Cells may hold text from outside:
    nothing in them is read as markup or control."""
    cells = [list(row) for row in rows]
    grid = Table(show_header=any(columns))
    for index, name in enumerate(columns):
        numeric = bool(cells) and all(isinstance(row[index], int | float) for row in cells)
        grid.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        grid.add_row(*(Text(_cut(shown(value))) for value in row))
    # Rich would fold a title to the width of its table.
    return Group(Text(safe(title), style="bold"), grid) if title else Group(grid)


def print_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a row a line, cut where the terminal ends; a file or pipe gets them whole."""
    out = console()
    head = [list(columns)] if columns else []
    cells = [*head, *([_cut(shown(value)) for value in row] for row in rows)]
    if out.is_terminal:
        cells = [[_short(text) for text in row[:-1]] + row[-1:] for row in cells]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        padded = (set_cell_size(text, width) for text, width in zip(row, widths, strict=True))
        line = Text(
            "  ".join(padded).rstrip(), style="bold" if columns and not number else "", no_wrap=True
        )
        if out.is_terminal:
            line.truncate(out.width, overflow="ellipsis")
        out.print(line, soft_wrap=True)


def _short(text: str) -> str:
    return text if cell_len(text) <= _MOST_COLUMN else f"{text[: _MOST_COLUMN - 1]}\u2026"


def fits(out: Console, rendered: RenderableType) -> bool:
    """True when nothing of it has to be folded."""
    unbounded = out.options.update(width=_UNBOUNDED)
    return Measurement.get(out, unbounded, rendered).maximum <= out.width


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CELL else f"{text[:_MAX_CELL]}\u2026"


def shown(value: object) -> str:
    """One value as people read it: 12,345, 1.5, yes, 2026-01-31 12:00:00Z, or a dash for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value.astimezone(timezone.utc):%Y-%m-%d %H:%M:%SZ}"
    return safe(str(value))


def print_json(value: object, *, line: bool = False) -> None:
    """One JSON document on standard output, in UTF-8, or with escapes where the output is not; on
    one line where there are many.

    Beyond JSON it takes datetimes (ISO 8601, UTC), bytes (base64), dataclasses and sets; anything
    else becomes its text. Raises ValueError for NaN and infinities.
    """
    out = console()
    text = json.dumps(
        value,
        ensure_ascii=not out.encoding.startswith("utf"),
        allow_nan=False,
        indent=None if line else 2,
        default=_plain,
    )
    # Not through rich: a large document would be split into styled lines first.
    out.file.write(text + "\n")
    out.file.flush()


def _console(stream: TextIO) -> Console:
    """Rich itself follows NO_COLOR and draws tables in ASCII where the encoding is not UTF."""
    if isinstance(stream, io.TextIOWrapper):
        # What cp1252 lacks is written out, as in \u0141, instead of ending the command.
        stream.reconfigure(errors="backslashreplace")
    width = None if stream.isatty() else _REDIRECTED_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
